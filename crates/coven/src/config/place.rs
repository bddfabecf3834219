//! Where a setting was made, and what is wrong with it.
//!
//! Keys are named as `upstream[0].secret`, counted from 0 as in the names of environment variables. [`Places`] knows
//! the line of each key of the file and which variable set it, so that checks need to name the key only.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with the configuration: one line that says where and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: Place,
    key: String,
    message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", one_line(&self.key))?;
        }
        f.write_str(&one_line(&self.message))
    }
}

impl Problem {
    /// A problem with the file as a whole.
    pub(super) fn with_file(path: &Path, message: impl Into<String>) -> Self {
        let place = Place::File(path.to_owned());
        Self {
            place,
            key: String::new(),
            message: message.into(),
        }
    }

    /// A problem with an environment variable.
    pub(super) fn with_variable(name: &str, message: impl Into<String>) -> Self {
        let place = Place::Variable(name.to_owned());
        Self {
            place,
            key: String::new(),
            message: message.into(),
        }
    }
}

/// Keeps a message on one line, whatever was quoted in it.
fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            }
        })
        .collect()
}

/// Where a setting was made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    Line(PathBuf, usize),
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

/// The place of each key that was set.
#[derive(Debug)]
pub(super) struct Places {
    file: PathBuf,
    lines: BTreeMap<String, usize>,
    variables: BTreeMap<String, String>,
    spans: Vec<(Range<usize>, String)>,
}

impl Places {
    /// The places of all keys of a file. Text that is not TOML has none.
    pub(super) fn of_file(file: &Path, text: &str) -> Self {
        let mut places = Self {
            file: file.to_owned(),
            lines: BTreeMap::new(),
            variables: BTreeMap::new(),
            spans: Vec::new(),
        };
        if let Ok(table) = DeTable::parse(text) {
            places.note_table("", table.get_ref(), text);
        }
        places
    }

    /// Notes that an environment variable set `key`.
    pub(super) fn note_variable(&mut self, key: &str, variable: &str) {
        self.variables.insert(key.to_owned(), variable.to_owned());
    }

    /// A problem with the value of `key`, found where that key, or else what contains it, was set.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) -> Problem {
        Problem {
            place: self.place(key),
            key: key.to_owned(),
            message: message.into(),
        }
    }

    /// A problem that reading the file as TOML, or as settings, came upon.
    pub(super) fn parse_problem(&self, text: &str, error: &toml::de::Error) -> Problem {
        let Some(span) = error.span() else {
            return Problem::with_file(&self.file, error.message());
        };
        let place = Place::Line(self.file.clone(), line_of(text, span.start));
        let key = self.key_at(&span).unwrap_or_default().to_owned();
        Problem {
            place,
            key,
            message: error.message().to_owned(),
        }
    }

    fn place(&self, key: &str) -> Place {
        let mut at = key;
        loop {
            if let Some(variable) = self.variables.get(at) {
                return Place::Variable(variable.clone());
            }
            if let Some(line) = self.lines.get(at) {
                return Place::Line(self.file.clone(), *line);
            }
            match at.rfind(['.', '[']) {
                Some(parent) => at = at.get(..parent).unwrap_or_default(),
                None => return Place::File(self.file.clone()),
            }
        }
    }

    /// The innermost key whose name or value covers `span`.
    fn key_at(&self, span: &Range<usize>) -> Option<&str> {
        let covers = |outer: &Range<usize>| outer.start <= span.start && span.end <= outer.end;
        let covering = self.spans.iter().filter(|(outer, _)| covers(outer));
        covering
            .min_by_key(|(outer, _)| outer.len())
            .map(|(_, key)| key.as_str())
    }

    fn note_table(&mut self, prefix: &str, table: &DeTable<'_>, text: &str) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            self.spans.push((name.span(), key.clone()));
            self.lines
                .insert(key.clone(), line_of(text, name.span().start));
            self.note_value(&key, value, text);
        }
    }

    fn note_value(&mut self, key: &str, value: &Spanned<DeValue<'_>>, text: &str) {
        self.spans.push((value.span(), key.to_owned()));
        match value.get_ref() {
            DeValue::Table(table) => self.note_table(key, table, text),
            DeValue::Array(list) => {
                for (index, item) in list.iter().enumerate() {
                    let key = format!("{key}[{index}]");
                    self.lines
                        .insert(key.clone(), line_of(text, item.span().start));
                    self.note_value(&key, item, text);
                }
            }
            _ => {}
        }
    }
}

/// The line, counted from 1, of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "role = 'all'\n\n[[upstream]]\naddress = 'a:1'\n[[upstream]]\ndomains = [\n  'a',\n  'b',\n]\n";

    fn places() -> Places {
        Places::of_file(Path::new("c.toml"), TEXT)
    }

    #[test]
    fn keys_are_found_at_their_lines() {
        let at = |key| places().problem(key, "x").to_string();
        assert_eq!(at("role"), "c.toml:1: role: x");
        assert_eq!(
            at("upstream[0].address"),
            "c.toml:4: upstream[0].address: x"
        );
        assert_eq!(at("upstream[1]"), "c.toml:5: upstream[1]: x");
        assert_eq!(
            at("upstream[1].domains[1]"),
            "c.toml:8: upstream[1].domains[1]: x"
        );
    }

    #[test]
    fn a_missing_key_is_found_at_what_should_contain_it() {
        let at = |key| places().problem(key, "x").to_string();
        assert_eq!(
            at("upstream[1].address"),
            "c.toml:5: upstream[1].address: x"
        );
        assert_eq!(at("store.url"), "c.toml: store.url: x");
    }

    #[test]
    fn a_variable_hides_the_line() {
        let mut places = places();
        places.note_variable("upstream[0].address", "COVEN_UPSTREAM__0__ADDRESS");
        let shown = places.problem("upstream[0].address", "x").to_string();
        assert_eq!(shown, "COVEN_UPSTREAM__0__ADDRESS: upstream[0].address: x");
    }

    #[test]
    fn a_problem_stays_on_one_line() {
        let shown = Problem::with_file(Path::new("c.toml"), "a\nb\u{1b}[31m").to_string();
        assert_eq!(shown, "c.toml: a\\nb\\u{1b}[31m");
    }
}
