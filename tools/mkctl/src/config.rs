// SPDX-License-Identifier: GPL-2.0

//! `set`: how an instance is configured.

use crate::{
    error::{Error, Kind, Result},
    instance::Instance,
};
use std::fs;

/// The files there are; kernels to come have more.
fn keys(instance: &Instance) -> Result<Vec<String>> {
    let directory = fs::read_dir(instance.host.path(&instance.config("")));
    let files = directory.map_err(|_| instance.gone())?.flatten();
    let mut keys: Vec<_> = files
        .filter_map(|file| file.file_name().into_string().ok())
        .collect();
    keys.sort();
    Ok(keys)
}

/// "key=value" lines. `memory` has further words, which no write takes.
pub fn show(instance: &Instance) -> Result<String> {
    let line = |key: String| {
        let text = instance
            .host
            .read(&instance.config(&key))
            .unwrap_or_default();
        format!("{key}={}\n", text.split(' ').next().unwrap_or_default())
    };
    Ok(keys(instance)?.into_iter().map(line).collect())
}

/// Writes them one by one; the first that is refused ends it.
pub fn set(instance: &Instance, pairs: &[(String, String)]) -> Result {
    let keys = keys(instance)?;
    if let Some((key, _)) = pairs.iter().find(|(key, _)| !keys.contains(key)) {
        let what = format!("{instance} has no {key}");
        return Err(Error::new(Kind::Failed, what).add(format!("There are: {}", keys.join(" "))));
    }
    for (key, value) in pairs {
        instance.host.write(&instance.config(key), value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::Tree;

    fn tree() -> Tree {
        Tree::new(&[
            ("/sys/kernel/config/multikernel/web/cpus", "2-3\n"),
            (
                "/sys/kernel/config/multikernel/web/memory",
                "512M set-aside\n",
            ),
        ])
    }

    #[test]
    fn all_is_shown() {
        assert_eq!(
            show(&tree().instance("web")).unwrap(),
            "cpus=2-3\nmemory=512M\n"
        );
    }

    #[test]
    fn a_key_that_is_not_there_changes_nothing() {
        let tree = tree();
        let pairs = [("cpus", "4-5"), ("colour", "red")].map(|(k, v)| (k.into(), v.into()));
        let error = set(&tree.instance("web"), &pairs).unwrap_err();
        assert_eq!(
            error.to_string(),
            "web has no colour\n  There are: cpus memory"
        );
        assert!(show(&tree.instance("web"))
            .unwrap()
            .starts_with("cpus=2-3\n"));
        set(&tree.instance("web"), &pairs[..1]).unwrap();
        assert!(show(&tree.instance("web"))
            .unwrap()
            .starts_with("cpus=4-5\n"));
    }
}
