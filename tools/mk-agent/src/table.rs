// SPDX-License-Identifier: GPL-2.0

//! The ACPI table MKRN, which tells where the region is. See "Tables" in
//! Documentation/boot-contract.rst.

const LENGTH: usize = 60;
const REVISION: u8 = 1;
const CONTRACT: u32 = 1;
const STRUCTURE: u32 = 24;

/// A physical address, and bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub start: u64,
    pub size: u64,
}

/// Reads the table, or tells what is wrong with it. Later versions are longer.
pub fn parse(table: &[u8]) -> Result<Range, String> {
    let length = table.len();
    if length < LENGTH {
        return Err(format!("it has {length} bytes, not {LENGTH}"));
    }
    if !table.starts_with(b"MKRN") {
        return Err("its signature is not MKRN".into());
    }
    let said = word(table, 4);
    if usize::try_from(said) != Ok(length) {
        return Err(format!("it has {length} bytes, and says {said}"));
    }
    let sum = table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if sum != 0 {
        return Err(format!("its checksum is {sum}, not 0"));
    }
    let (revision, contract, structure) = (table[8], word(table, 36), word(table, 40));
    if revision != REVISION || contract != CONTRACT || structure < STRUCTURE {
        return Err(format!(
            "it has revision {revision}, version {contract} and a structure of {structure} bytes, not \
             {REVISION}, {CONTRACT} and {STRUCTURE}: host and agent are too far apart"
        ));
    }
    Ok(Range {
        start: long(table, 44),
        size: long(table, 52),
    })
}

fn word(table: &[u8], at: usize) -> u32 {
    let bytes = table.get(at..).and_then(|rest| rest.first_chunk());
    bytes.copied().map_or(0, u32::from_le_bytes)
}

fn long(table: &[u8], at: usize) -> u64 {
    u64::from(word(table, at)) | u64::from(word(table, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut table = vec![0; LENGTH];
        table[..4].copy_from_slice(b"MKRN");
        table[4] = 60;
        table[8] = 1;
        table[36] = 1;
        table[40] = 24;
        table[44..52].copy_from_slice(&0x1_2345_6000u64.to_le_bytes());
        table[52..].copy_from_slice(&0x4_0000u64.to_le_bytes());
        change(&mut table);
        if let Some(last) = table.get_mut(9) {
            *last = 0;
            let sum = table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
            table[9] = sum.wrapping_neg();
        }
        table
    }

    #[test]
    fn it_tells_the_region() {
        let range = Range {
            start: 0x1_2345_6000,
            size: 0x4_0000,
        };
        assert_eq!(parse(&table(|_| ())), Ok(range));
        let longer = table(|table| {
            table.push(7);
            table[4] = 61;
            table[40] = 25;
        });
        assert_eq!(parse(&longer), Ok(range));
    }

    #[test]
    fn what_is_wrong_is_told() {
        type Change = fn(&mut Vec<u8>);
        let cases: [(Change, &str); 6] = [
            (|table| table.truncate(59), "59 bytes"),
            (|table| table[3] = b'M', "signature"),
            (|table| table[4] = 61, "says 61"),
            (|table| table[8] = 2, "revision 2"),
            (|table| table[36] = 2, "version 2"),
            (|table| table[40] = 23, "23 bytes"),
        ];
        for (change, text) in cases {
            let error = parse(&table(change)).unwrap_err();
            assert!(error.contains(text), "{error}");
        }
        let mut damaged = table(|_| ());
        damaged[44] ^= 1;
        assert!(parse(&damaged).unwrap_err().contains("checksum"));
    }
}
