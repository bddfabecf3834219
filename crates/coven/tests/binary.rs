//! The real binary: its command line and exit codes.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

const SMALL: &str = "[[domain]]\nname = 'chat.localhost'\n\
    [[upstream]]\naddress = '127.0.0.1:1'\ndomains = ['chat.localhost']\nsecret = 'canary'\n";

/// A folder of its own with a configuration.
struct Folder(TempDir);

impl Folder {
    fn with(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::write(folder.config(), config).unwrap();
        folder
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("coven.toml")
    }

    /// The binary in this folder, without variables of ours from outside.
    fn coven(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coven"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("COVEN_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.0.path());
        command
    }
}

fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn the_version_is_printed() {
    let output = Folder::with("").coven().arg("--version").output().unwrap();
    let expected = format!("coven {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(texts(&output), (Some(0), expected, String::new()));
}

#[test]
fn a_right_configuration_is_ok() {
    let folder = Folder::with(SMALL);
    let output = folder
        .coven()
        .args(["check-config", "--config"])
        .arg(folder.config())
        .output()
        .unwrap();
    assert_eq!(texts(&output), (Some(0), "ok\n".to_owned(), String::new()));
    let output = folder.coven().arg("check-config").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "coven.toml is the default");
}

#[test]
fn problems_have_file_line_and_key_and_exit_code_2() {
    let folder = Folder::with(&format!("{SMALL}[store]\nulr = 'x'\n"));
    let output = folder
        .coven()
        .args(["check-config", "--config", "coven.toml"])
        .output()
        .unwrap();
    let (code, out, problems) = texts(&output);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        problems.starts_with("coven: coven.toml:8: store.ulr: unknown field `ulr`"),
        "{problems}"
    );
    assert_eq!(problems.lines().count(), 1);
}

#[test]
fn variables_of_the_environment_are_read() {
    let folder = Folder::with(SMALL);
    let output = folder
        .coven()
        .arg("check-config")
        .env("COVEN_STORE__URL", "redis+sentinel://localhost")
        .output()
        .unwrap();
    let expected = "coven: COVEN_STORE__URL: the address of the store cannot be used: the primary's name is \
        missing: redis+sentinel://host,host/name\n";
    assert_eq!(
        texts(&output),
        (Some(2), String::new(), expected.to_owned())
    );
    let output = folder
        .coven()
        .arg("check-config")
        .env("COVEN_ROL", "all")
        .output()
        .unwrap();
    let expected = "coven: COVEN_ROL is not a setting of coven and has no effect\n";
    assert_eq!(
        texts(&output),
        (Some(0), "ok\n".to_owned(), expected.to_owned())
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::with(SMALL);
    let value = std::ffi::OsStr::from_bytes(b"canary\xff");
    let output = folder
        .coven()
        .arg("check-config")
        .env("COVEN_UPSTREAM__0__SECRET", value)
        .output()
        .unwrap();
    let expected = "coven: COVEN_UPSTREAM__0__SECRET: the value is not UTF-8\n";
    assert_eq!(
        texts(&output),
        (Some(2), String::new(), expected.to_owned())
    );
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::with("");
    let output = folder
        .coven()
        .args(["check-config", "--config", "none.toml"])
        .output()
        .unwrap();
    let (code, _, problems) = texts(&output);
    assert_eq!(code, Some(2));
    assert!(
        problems.starts_with("coven: none.toml: cannot be read: "),
        "{problems}"
    );
}

#[test]
fn a_wrong_command_line_has_exit_code_2() {
    for arguments in [&["dance"][..], &["check-config", "--port", "1"], &[]] {
        let output = Folder::with("").coven().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_store_is_checked_without_the_service() {
    let folder = Folder::with(SMALL);
    let check = || folder.coven().arg("check-store").output().unwrap();
    let (code, _, told) = texts(&check());
    assert_eq!(code, Some(2));
    assert!(told.contains("there is no store"), "{told}");

    let path = folder.config().with_file_name("coven.db");
    let options = coven_store::sqlite::Options::new(&path);
    drop(coven_store::SqliteStore::open(options).unwrap());
    assert_eq!(texts(&check()), (Some(0), "ok\n".to_owned(), String::new()));

    let mut bytes = std::fs::read(&path).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&path, bytes).unwrap();
    let (code, _, told) = texts(&check());
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("damaged") && told.contains("docs/store.md"),
        "{told}"
    );
}
