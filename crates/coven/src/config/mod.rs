//! The configuration: defaults, then the file, then the environment, then the command line.
//!
//! Each section has a file of its own with one struct, whose doc comments are the documentation; `docs/configuration.md`
//! says the same for readers. [`load`] gives a [`Config`] in which everything has been checked, or all problems, each
//! with file and line or the name of the variable. What a later version brings is refused, never accepted without
//! effect. Turning a [`Config`] into the options of the parts is the wiring's business.

mod archive;
mod check;
mod cluster;
mod defaults;
mod domain;
mod env;
mod file;
mod http;
mod limits;
mod log;
mod node;
mod place;
mod secret;
mod store;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod upstream;
mod value;

use std::path::Path;

use secrecy::SecretString;
use toml::Table;

pub use archive::{Archive, MaxAge};
pub use cluster::{Cluster, Security};
pub use defaults::{AllowPm, Defaults, Whois};
pub use domain::{Contacts, Create, Domain, LockTimeout, Protocol};
pub use file::Role;
pub use http::{Http, Listen};
pub use limits::Limits;
pub use log::{Format, Level, Log};
pub use node::Node;
pub use place::Problem;
pub use secret::{SecretSource, Secrets};
pub use store::{Place, Redis, Store};
pub use upstream::{Attach, Barrier, Quirk, Upstream};
pub use value::{DomainName, HostPort, Period, Rate, Size, UserJid};

use file::File;
use place::Places;

/// The whole configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What this process does.
    pub role: Role,
    /// Where channels are kept.
    pub store: Store,
    /// The domains that are served, at least one; names are unique.
    pub domains: Vec<Domain>,
    /// The XMPP servers to attach to, at least one.
    pub upstreams: Vec<Upstream>,
    /// The links between front-ends and nodes.
    pub cluster: Cluster,
    /// Channels in memory.
    pub node: Node,
    /// How long messages are kept.
    pub archive: Archive,
    /// Health for probes.
    pub http: Http,
    /// What `coven admin` has to know, if there is an administration interface.
    pub admin_token: Option<SecretString>,
    /// Rates and quotas.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
}

/// What the command line sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overrides {
    /// `--role`.
    pub role: Option<Role>,
}

/// A configuration, and what is odd about it without being wrong.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// One line each.
    pub warnings: Vec<String>,
}

/// Reads and checks the configuration.
///
/// `environment` is all of the process' environment; what is not ours in it is ignored.
/// Errors: every problem found, in the order file, environment, checks; a later step is taken only when the earlier
/// ones found nothing.
pub fn load(
    path: &Path,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Loaded, Vec<Problem>> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| vec![Problem::with_file(path, format!("cannot be read: {e}"))])?;
    load_text(path, &text, environment, overrides)
}

fn load_text(
    path: &Path,
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Loaded, Vec<Problem>> {
    let mut places = Places::of_file(path, text);
    let mut table = parse(text, &places).map_err(|problem| vec![problem])?;
    let overlay = env::overlay(&mut table, environment, &mut places);
    if !overlay.problems.is_empty() {
        return Err(overlay.problems);
    }
    let mut file: File = serde::Deserialize::deserialize(table)
        .map_err(|e: toml::de::Error| vec![places.parse_problem(text, &e)])?;
    file.role = overrides.role.unwrap_or(file.role);
    let config = check::resolve(file, path, &places)?;
    let mut warnings = overlay.warnings;
    let open = config.upstreams.iter().filter_map(|u| u.secret.warning());
    warnings.extend(open);
    Ok(Loaded { config, warnings })
}

/// Reads the file with its types, which gives errors a line, and then once more as a plain table to lay variables over.
fn parse(text: &str, places: &Places) -> Result<Table, Problem> {
    let problem = |e: toml::de::Error| places.parse_problem(text, &e);
    toml::from_str::<File>(text).map_err(problem)?;
    toml::from_str(text).map_err(problem)
}
