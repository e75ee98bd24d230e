// SPDX-License-Identifier: GPL-2.0

//! Writes the man page and shell completions of mk-agent to a folder: `cargo run --example pages FOLDER`.

#[path = "../src/cli.rs"]
#[allow(dead_code, reason = "only the definition is used")]
mod cli;

use clap::CommandFactory;
use clap_complete::Shell;
use std::{env, io, path::PathBuf};

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("name a folder"))?;
    let folder = PathBuf::from(folder);
    let command = cli::Cli::command();
    clap_mangen::generate_to(command.clone(), &folder)?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut command.clone(), "mk-agent", &folder)?;
    }
    Ok(())
}
