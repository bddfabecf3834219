//! Settings from the environment, laid over those of the file.
//!
//! `COVEN_STORE__URL` is `store.url`: two underscores go one level down, one underscore is a hyphen, a number is the
//! place in a list, counted from 0. Values are taken as text first, so a secret of digits stays text.

use serde::Deserialize;
use toml::{Table, Value};

use super::file::File;
use super::place::{Places, Problem};

/// What the environment changed.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    /// Variables that cannot be accepted.
    pub(super) problems: Vec<Problem>,
    /// Variables that look like settings and are none.
    pub(super) warnings: Vec<String>,
}

/// Lays the settings in `variables` over `table`, the content of the file.
///
/// A variable that does not fit is reported, and the table stays as it was before it.
pub(super) fn overlay(
    table: &mut Table,
    variables: impl IntoIterator<Item = (String, String)>,
    places: &mut Places,
) -> Overlay {
    let mut result = Overlay::default();
    let mut settings = Vec::new();
    for (name, value) in variables {
        match classify(&name) {
            Kind::Setting(path) => settings.push((path, name, value)),
            Kind::Unknown => result.warnings.push(format!(
                "{name} is not a setting of coven and has no effect"
            )),
            Kind::Foreign => {}
        }
    }
    settings.sort_by(|a, b| a.0.cmp(&b.0));
    for (path, name, value) in settings {
        match apply(table, &path, &value) {
            Ok(changed) => {
                *table = changed;
                places.note_variable(&key(&path), &name);
            }
            Err(e) => result.problems.push(Problem::with_variable(&name, e)),
        }
    }
    result
}

enum Kind {
    Setting(Vec<Step>),
    Unknown,
    Foreign,
}

/// One step from the top of the file to a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Index(usize),
    Key(String),
}

/// Kubernetes puts variables such as `COVEN_SERVICE_HOST` into each pod beside a service named `coven`: these are not
/// ours, and have no double underscore.
fn classify(name: &str) -> Kind {
    let Some(rest) = name.strip_prefix("COVEN_") else {
        return Kind::Foreign;
    };
    if rest.contains("__") || rest == "ROLE" {
        return Kind::Setting(rest.split("__").map(step).collect());
    }
    if is_of_kubernetes(rest) || rest == "CONFIG" || is_of_crash_tests(rest) {
        Kind::Foreign
    } else {
        Kind::Unknown
    }
}

fn is_of_kubernetes(rest: &str) -> bool {
    rest.ends_with("SERVICE_HOST") || rest.split('_').any(|word| word == "PORT")
}

fn is_of_crash_tests(rest: &str) -> bool {
    cfg!(feature = "fail-points") && matches!(rest, "FAILPOINT" | "BARRIER_TRACE" | "FORMAT")
}

fn step(text: &str) -> Step {
    match text.parse() {
        Ok(index) => Step::Index(index),
        Err(_) => Step::Key(text.to_lowercase().replace('_', "-")),
    }
}

/// The name of the key as problems and [`Places`] have it.
fn key(path: &[Step]) -> String {
    let mut key = String::new();
    for step in path {
        match step {
            Step::Index(index) => key.push_str(&format!("[{index}]")),
            Step::Key(name) if key.is_empty() => key.push_str(name),
            Step::Key(name) => key.push_str(&format!(".{name}")),
        }
    }
    key
}

/// The table with the value set: as text where that fits, else as a number or a truth value.
fn apply(table: &Table, path: &[Step], value: &str) -> Result<Table, String> {
    let as_text = with(table, path, Value::String(value.to_owned()))?;
    let Err(text_error) = File::deserialize(as_text.clone()) else {
        return Ok(as_text);
    };
    let Some(scalar) = scalar(value) else {
        return Err(explain(&text_error));
    };
    let as_scalar = with(table, path, scalar)?;
    match File::deserialize(as_scalar.clone()) {
        Ok(_) => Ok(as_scalar),
        Err(e) if is_wrong_type(&text_error) => Err(explain(&e)),
        Err(_) => Err(explain(&text_error)),
    }
}

fn scalar(value: &str) -> Option<Value> {
    value
        .parse()
        .map(Value::Integer)
        .ok()
        .or_else(|| value.parse().map(Value::Boolean).ok())
}

fn is_wrong_type(error: &toml::de::Error) -> bool {
    error.message().starts_with(WRONG_TYPE)
}

/// The message without the value when its type is wrong: whoever mixes up two variables may have put a secret there.
fn explain(error: &toml::de::Error) -> String {
    let message = error.message();
    match message.rsplit_once(", expected ") {
        Some((_, expected)) if message.starts_with(WRONG_TYPE) => {
            format!(
                "{expected} is needed here; items of lists and tables have variables of their own, such as COVEN_UPSTREAM__0__DOMAINS__0"
            )
        }
        _ => message.to_owned(),
    }
}

fn with(table: &Table, path: &[Step], value: Value) -> Result<Table, String> {
    let mut root = Value::Table(table.clone());
    *slot(&mut root, path)? = value;
    match root {
        Value::Table(table) => Ok(table),
        _ => Err("a section is needed".to_owned()),
    }
}

/// The place of the value, made on the way where the file has nothing or something else.
fn slot<'a>(mut at: &'a mut Value, path: &[Step]) -> Result<&'a mut Value, String> {
    for step in path {
        at = match step {
            Step::Key(name) => in_table(at, name)?,
            Step::Index(index) => in_list(at, *index)?,
        };
    }
    Ok(at)
}

fn in_table<'a>(at: &'a mut Value, name: &str) -> Result<&'a mut Value, String> {
    if !at.is_table() {
        *at = Value::Table(Table::new());
    }
    let table = at.as_table_mut().ok_or("not a table")?;
    Ok(table
        .entry(name)
        .or_insert_with(|| Value::Table(Table::new())))
}

fn in_list(at: &mut Value, index: usize) -> Result<&mut Value, String> {
    if !at.is_array() {
        *at = Value::Array(Vec::new());
    }
    let list = at.as_array_mut().ok_or("not a list")?;
    if index > list.len() {
        return Err(format!(
            "there is no place {index}: the next one is {}",
            list.len()
        ));
    }
    if index == list.len() {
        list.push(Value::Table(Table::new()));
    }
    list.get_mut(index).ok_or_else(|| "not a list".to_owned())
}

const WRONG_TYPE: &str = "invalid type";
