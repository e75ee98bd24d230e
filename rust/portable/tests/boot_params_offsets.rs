// SPDX-License-Identifier: GPL-2.0

//! The zero page against the kernel's own header: every field that we name is where the C
//! compiler puts it.
//!
//! LINUX_SRC is a Linux source tree; ignored without.

use multikernel_portable::{
    boot_params::{BootParams, EfiInfo, SetupHeader},
    e820,
};
use std::{
    fs,
    mem::{offset_of, size_of},
    path::{Path, PathBuf},
    process::Command,
};

/// Pairs of a C expression and our constant.
macro_rules! fields {
    ($(struct $c:ident = $rust:ty { $($field:ident $(= $name:ident)?),* $(,)? })*) => {
        vec![$(
            (format!("sizeof(struct {})", stringify!($c)), size_of::<$rust>()),
            $((
                format!("offsetof(struct {}, {})", stringify!($c), fields!(@ $field $($name)?)),
                offset_of!($rust, $field),
            ),)*
        )*]
    };
    (@ $field:ident) => { stringify!($field) };
    (@ $field:ident $name:ident) => { stringify!($name) };
}

fn ours() -> Vec<(String, usize)> {
    let mut ours = fields! {
        struct boot_params = BootParams {
            acpi_rsdp_addr, ext_ramdisk_image, ext_ramdisk_size, ext_cmd_line_ptr, efi_info,
            e820_entries, sentinel, hdr, e820_table,
        }
        struct efi_info = EfiInfo {
            efi_loader_signature, efi_systab, efi_memdesc_size, efi_memdesc_version, efi_memmap,
            efi_memmap_size, efi_systab_hi, efi_memmap_hi,
        }
        struct setup_header = SetupHeader {
            setup_sects, root_flags, syssize, ram_size, vid_mode, root_dev, boot_flag, jump,
            header, version, realmode_swtch, start_sys_seg, kernel_version, type_of_loader,
            loadflags, setup_move_size, code32_start, ramdisk_image, ramdisk_size,
            bootsect_kludge, heap_end_ptr, ext_loader_ver, ext_loader_type, cmd_line_ptr,
            initrd_addr_max, kernel_alignment, relocatable_kernel, min_alignment, xloadflags,
            cmdline_size, hardware_subarch, hardware_subarch_data, payload_offset,
            payload_length, setup_data, pref_address, init_size, handover_offset,
            kernel_info_offset,
        }
        struct boot_e820_entry = e820::Entry { addr, size, kind = type }
    };
    ours.push(("E820_MAX_ENTRIES_ZEROPAGE".into(), e820::ENTRIES_MAX));
    ours
}

/// Compiles and runs a program that prints one number a line.
fn theirs(source: &Path, expressions: impl Iterator<Item = String>) -> Vec<usize> {
    let folder = std::env::temp_dir().join(format!("multikernel-offsets-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for the program");
    let prints: String = expressions
        .map(|e| format!("printf(\"%zu\\n\", (size_t){e});\n"))
        .collect();
    let program = format!(
        "#include <stddef.h>\n#include <stdio.h>\n#include <asm/bootparam.h>\n\
         int main(void) {{\n{prints}return 0;\n}}\n"
    );
    let path = folder.join("offsets.c");
    fs::write(&path, program).unwrap();
    // The source's own headers first, then those that only a build has, from the system.
    let includes = ["arch/x86/include/uapi", "include/uapi"].map(|dir| source.join(dir));
    let binary: PathBuf = folder.join("offsets");
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    for include in &includes {
        compiler.arg("-I").arg(include);
    }
    // __user and friends belong to the kernel's own build.
    let output = compiler
        .args(["-D__user=", "-o"])
        .arg(&binary)
        .arg(&path)
        .output();
    let output = output.expect("a C compiler");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let output = Command::new(&binary).output().unwrap();
    let _ = fs::remove_dir_all(&folder);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
#[ignore = "needs LINUX_SRC, a Linux source tree"]
fn fields_are_where_the_kernel_has_them() {
    let source = std::env::var_os("LINUX_SRC").expect("LINUX_SRC");
    let ours = ours();
    let theirs = theirs(
        Path::new(&source),
        ours.iter().map(|(expression, _)| expression.clone()),
    );
    assert_eq!(ours.len(), theirs.len());
    for ((expression, ours), theirs) in ours.iter().zip(theirs) {
        assert_eq!(*ours, theirs, "{expression}");
    }
}
