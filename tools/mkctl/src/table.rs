// SPDX-License-Identifier: GPL-2.0

//! `list`: /proc/multikernel, whose columns are read by name.

use crate::{
    error::{Error, Kind, Result},
    host::Host,
    instance::Instance,
};
use multikernel_portable::{cpu_list::CpuSet, name::Name, size};
use serde_json::{json, Map, Value};

/// A line for each instance, of the names and values of its columns.
#[derive(Debug)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn read(host: &Host) -> Result<Self> {
        let error = || {
            let what = "there is no /proc/multikernel: the module is not loaded";
            Error::new(Kind::NotReady, what).add("modprobe multikernel; 'mkctl check' tells more")
        };
        Ok(Self::parse(
            &host.read("/proc/multikernel").ok_or_else(error)?,
        ))
    }

    fn parse(text: &str) -> Self {
        let words = |line: &str| line.split_whitespace().map(String::from).collect();
        let mut lines = text.lines();
        Self {
            columns: lines.next().map(words).unwrap_or_default(),
            rows: lines.map(words).collect(),
        }
    }

    /// Takes the whole reason in, as far as it still is the one of the line.
    pub fn explain(&mut self, host: &Host) {
        let at = |column| self.columns.iter().position(|name| name == column);
        let (Some(name_at), Some(reason_at)) = (at("NAME"), at("REASON")) else {
            return;
        };
        for row in &mut self.rows {
            let name = row
                .get(name_at)
                .and_then(|name| Name::new(name.as_bytes()).ok());
            let whole = name.and_then(|name| Instance { host, name }.reason());
            if let (Some(reason), Some(whole)) = (row.get_mut(reason_at), whole) {
                if whole.split(' ').next() == Some(reason) {
                    *reason = whole;
                }
            }
        }
    }

    /// For people: columns of even width.
    pub fn text(&self) -> String {
        let lines = || [&self.columns].into_iter().chain(&self.rows);
        let width = |i: usize| lines().filter_map(|row| row.get(i)).map(String::len).max();
        let line = |row: &Vec<String>| {
            let cells = row.iter().enumerate();
            let cells = cells.map(|(i, cell)| format!("{cell:0$}", width(i).unwrap_or(0)));
            format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
        };
        lines().map(line).collect()
    }

    /// For programs: an array of objects.
    pub fn json(&self) -> Value {
        let object = |row: &Vec<String>| {
            let mut object = Map::new();
            for (column, cell) in self.columns.iter().zip(row) {
                let value = match (column.as_str(), cell.as_str()) {
                    ("REASON", cell) => {
                        let (word, detail) = cell.split_once(' ').unwrap_or((cell, "-"));
                        object.insert("detail".into(), text(detail));
                        text(word)
                    }
                    (column, cell) => typed(column, cell),
                };
                object.insert(column.to_lowercase(), value);
            }
            Value::Object(object)
        };
        self.rows.iter().map(object).collect()
    }
}

fn text(cell: &str) -> Value {
    match cell {
        "-" => Value::Null,
        cell => json!(cell),
    }
}

/// A cell as what its column has; one that is not so stays text.
fn typed(column: &str, cell: &str) -> Value {
    let value = match column {
        "ID" | "STARTS" => cell.parse::<u64>().ok().map(Value::from),
        "SECONDS" | "SILENCE" => cell.parse::<f64>().ok().map(Value::from),
        "MEMORY" => size::parse(cell.as_bytes()).ok().map(Value::from),
        "CPUS" if cell == "-" => Some(json!([])),
        "CPUS" => CpuSet::parse(cell.as_bytes())
            .ok()
            .map(|cpus| cpus.iter().collect()),
        _ => None,
    };
    value.unwrap_or_else(|| text(cell))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::Tree;

    const PROC: &str = "\
ID NAME STATE CPUS MEMORY KERNEL SECONDS STARTS REASON SILENCE NEW
1 web panicked 2-3,5 512M 6.1\"\\ 12.345 1 panic - -
12 a-long-one empty - 0 - 0.001 0 - 0.120 3
";

    #[test]
    fn columns_are_read_by_name() {
        let mut table = Table::parse(PROC);
        let tree = Tree::new(&[
            (
                "/sys/class/multikernel/web/reason",
                "panic Kernel panic: \"x\"\n",
            ),
            ("/sys/class/multikernel/a-long-one/reason", "killed\n"),
        ]);
        table.explain(&tree.host);
        let expected = json!([
            {
                "id": 1, "name": "web", "state": "panicked", "cpus": [2, 3, 5], "memory": 536870912,
                "kernel": "6.1\"\\", "seconds": 12.345, "starts": 1, "reason": "panic",
                "detail": "Kernel panic: \"x\"", "silence": null, "new": null,
            },
            {
                "id": 12, "name": "a-long-one", "state": "empty", "cpus": [], "memory": 0,
                "kernel": null, "seconds": 0.001, "starts": 0, "reason": null,
                "detail": null, "silence": 0.12, "new": "3",
            },
        ]);
        assert_eq!(table.json(), expected);
    }

    #[test]
    fn columns_are_even() {
        let text = Table::parse("ID NAME\n1 web\n12 x\n").text();
        assert_eq!(text, "ID  NAME\n1   web\n12  x\n");
    }

    #[test]
    fn without_the_module_there_is_none() {
        let error = Table::read(&Tree::new(&[]).host).unwrap_err();
        assert_eq!(error.kind, Kind::NotReady);
    }
}
