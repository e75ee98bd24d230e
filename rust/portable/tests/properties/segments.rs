// SPDX-License-Identifier: GPL-2.0

//! What holds for any list of segments.

use multikernel_portable::{
    bzimage::Header,
    fault::Errno,
    segments::{
        assign, check as check_list, check_links, Kernel, Links, Roles, Segment, BOOT_PARAMS_MAX,
    },
};

/// The rules for the list, in 128 bits.
fn good(entry: u64, segments: &[Segment]) -> bool {
    let bounds = |s: &Segment| (u128::from(s.mem), u128::from(s.mem) + u128::from(s.memsz));
    let apart = |a: &Segment, b: &Segment| bounds(a).1 <= bounds(b).0 || bounds(b).1 <= bounds(a).0;
    (1..=16).contains(&segments.len())
        && segments.iter().all(|s| {
            s.mem % 4096 == 0
                && s.memsz % 4096 == 0
                && s.memsz > 0
                && s.bufsz <= s.memsz
                && bounds(s).1 <= u64::MAX.into()
        })
        && (0..segments.len()).all(|i| segments[..i].iter().all(|other| apart(&segments[i], other)))
        && segments
            .iter()
            .any(|s| s.mem <= entry && u128::from(entry) < bounds(s).1)
}

/// Who is who: the kernel is where the entry is, the initrd what is left.
fn roles(entry: u64, segments: &[Segment], is_boot_params: &[bool]) -> Option<Roles> {
    let all = 0..segments.len();
    let (zero_pages, others): (Vec<_>, Vec<_>) = all.partition(|&i| is_boot_params[i]);
    let entered = |i: &usize| {
        let s = &segments[*i];
        s.mem <= entry && u128::from(entry) < u128::from(s.mem) + u128::from(s.memsz)
    };
    let (kernels, initrds): (Vec<_>, Vec<_>) = others.into_iter().partition(entered);
    match (&zero_pages[..], &kernels[..], &initrds[..]) {
        (&[boot_params], ..) if segments[boot_params].bufsz > BOOT_PARAMS_MAX => None,
        (&[boot_params], &[kernel], &[] | &[_]) => Some(Roles {
            kernel,
            entry: entry - segments[kernel].mem,
            boot_params,
            initrd: initrds.first().copied(),
        }),
        _ => None,
    }
}

fn links(header: &Header, segments: &[Segment], roles: &Roles) -> Option<Links> {
    let (kernel, boot_params) = (segments[roles.kernel], segments[roles.boot_params]);
    let fits = header.payload_end() <= kernel.bufsz && roles.entry < kernel.bufsz;
    let flat = header.payload_end() == 0;
    if !fits || kernel.bufsz > header.init_size() || !(flat || roles.entry == 0x200) {
        return None;
    }
    let text = |offset: i128| {
        let behind = (4096..i128::from(boot_params.bufsz)).contains(&offset);
        behind.then(|| {
            (
                offset as usize,
                (i128::from(boot_params.bufsz) - offset) as usize,
            )
        })
    };
    let pointer = i128::from(header.cmd_line_ptr());
    let cmdline = text(pointer - i128::from(boot_params.mem));
    if pointer != 0 && cmdline.is_none() {
        return None;
    }
    let release = i128::from(header.kernel_version());
    let initrd_len = header.ramdisk_size();
    let initrd = roles.initrd.map(|i| segments[i]);
    let good = initrd.map_or(initrd_len == 0, |initrd| {
        initrd.mem == header.ramdisk_image() && (1..=initrd.bufsz).contains(&initrd_len)
    });
    good.then(|| Links {
        kernel: Kernel {
            memsz: kernel.memsz,
            entry: roles.entry,
        },
        cmdline,
        initrd_len,
        release: text(release + 0x200).filter(|_| release != 0),
    })
}

/// Checks a list, with a zero page and which segments are taken for it.
pub fn check(entry: u64, segments: &[Segment], is_boot_params: &[bool], page: &[u8]) {
    let checked = check_list(entry, segments);
    assert_eq!(checked.is_ok(), good(entry, segments), "{checked:?}");
    if let Err(fault) = checked {
        assert_eq!(fault.errno, Errno::Inval);
        return;
    }
    let assigned = assign(entry, segments, |i| is_boot_params[i]);
    let expected = roles(entry, segments, is_boot_params);
    assert_eq!(assigned.ok(), expected, "{assigned:?}");
    let (Some(roles), Ok(header)) = (expected, Header::from_zero_page(page)) else {
        return;
    };
    let linked = check_links(&header, segments, &roles);
    assert_eq!(linked.ok(), links(&header, segments, &roles), "{linked:?}");
}
