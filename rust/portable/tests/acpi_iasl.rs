// SPDX-License-Identifier: GPL-2.0

//! The ACPI tables as ACPICA's own tool reads them: it has nothing to say against them, and what
//! it makes of the DSDT compiles to the same bytes.

mod firmware_common;

use firmware_common::{machine, memory, range, Built, Image, GIB, MIB};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Bytes of a table's header.
const HEADER: usize = 36;

/// A folder that goes away with its owner.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("multikernel-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the tables");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left over at worst.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs iasl and returns what it said, which must hold no complaint.
fn iasl(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("iasl")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("iasl");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "iasl {args:?}: {text}");
    let complaint = |line: &&str| {
        let line = line.to_lowercase();
        let none = line.contains("0 errors") && line.contains("0 warnings");
        // Nobody knows our own table; the header is still checked.
        let ours = line.starts_with("unknown acpi table signature [mkrn]");
        let words = ["error", "warning", "unknown", "invalid"];
        !none && !ours && words.iter().any(|word| line.contains(word))
    };
    let complaints: Vec<_> = text.lines().filter(complaint).collect();
    assert!(complaints.is_empty(), "iasl {args:?}: {complaints:#?}");
    text
}

/// Disassembles every table of a spawn with these CPUs.
fn check(name: &str, base: u64, apic_ids: &[u32], phantom: u32) {
    let pieces = [range(base, 256 * MIB)];
    let machine = machine(memory(&pieces), apic_ids);
    let built = Built::new(&machine, &Image::default(), phantom, b"", 0).unwrap();
    let folder = Folder::new(name);
    let folder = &folder.0;
    let tables = built.acpi();
    let names: Vec<_> = tables.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["FACP", "APIC", "MKRN", "DSDT", "XSDT"]);
    for (name, table) in &tables {
        fs::write(folder.join(format!("{name}.dat")), table).unwrap();
    }
    for name in names {
        iasl(folder, &["-d", &format!("{name}.dat")]);
        let text = fs::read_to_string(folder.join(format!("{name}.dsl"))).unwrap();
        let text = text
            .replace("**** Unknown ACPI table signature [MKRN]", "")
            .to_lowercase();
        for complaint in [
            "error",
            "warning",
            "invalid",
            "incorrect",
            "should be",
            "unknown",
        ] {
            assert!(!text.contains(complaint), "{complaint} in {name}: {text}");
        }
    }

    let text = fs::read_to_string(folder.join("DSDT.dsl")).unwrap();
    assert!(text.contains("Name (_S5, Package (0x04)"), "{text}");
    iasl(folder, &["-p", "again", "DSDT.dsl"]);
    let again = fs::read(folder.join("again.aml")).unwrap();
    let dsdt = tables.iter().find(|(name, _)| name == "DSDT").unwrap().1;
    // The header names its compiler.
    assert_eq!(again[HEADER..], dsdt[HEADER..]);

    // Tables of data compile, too.
    for name in ["FACP", "APIC", "XSDT"] {
        iasl(folder, &["-p", "again", &format!("{name}.dsl")]);
        let again = fs::read(folder.join("again.aml")).unwrap();
        let table = tables.iter().find(|(found, _)| found == name).unwrap().1;
        assert_eq!(again[HEADER..], table[HEADER..], "{name}");
    }
}

#[test]
#[ignore = "needs iasl, of acpica-tools"]
fn tables_of_two_cpus() {
    check("two", GIB, &[1, 2], 254);
}

#[test]
#[ignore = "needs iasl, of acpica-tools"]
fn tables_of_all_that_xapic_has() {
    let ids: Vec<_> = (0..254).collect();
    check("xapic", GIB, &ids, 254);
}

#[test]
#[ignore = "needs iasl, of acpica-tools"]
fn tables_of_a_thousand_cpus_above_4_gib() {
    let ids: Vec<_> = (0..1023).map(|i| i * 2).collect();
    check("x2apic", 0x1234_5600_0000, &ids, 0x7fff);
}
