// SPDX-License-Identifier: GPL-2.0

//! The only place that calls C: every extern declaration, each behind a safe function or owner.

pub(crate) mod attribute;
pub(crate) mod class;
pub(crate) mod configfs;
pub(crate) mod doorbell;
pub(crate) mod file;
pub(crate) mod hooks;
pub(crate) mod misc;
pub(crate) mod pages;
pub(crate) mod proc;
pub(crate) mod shared;
pub(crate) mod spawn;
pub(crate) mod stream;
pub(crate) mod work;
pub(crate) mod x86;
