//! What goes over a connection: pipelines, to one server or to the members of a cluster.

use redis::aio::MultiplexedConnection;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value};

use super::super::value::text;
use super::{Answers, Batch, Trouble};

/// Open connections to the same place.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// For what is in order, and waits for replicas.
    pub(super) writes: Way,
    /// For what changes nothing.
    pub(super) reads: Way,
    /// Of the server, where Sentinels have named it.
    pub(super) address: Option<String>,
}

/// One connection.
#[derive(Clone)]
pub(super) enum Way {
    /// To one server.
    One(MultiplexedConnection),
    /// To all primaries of a cluster.
    Many(ClusterConnection),
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Many(_) => "Many",
        })
    }
}

impl Link {
    pub(super) fn way(&self, reads: bool) -> Way {
        if reads { &self.reads } else { &self.writes }.clone()
    }

    /// The answer to one command that changes nothing that matters.
    pub(super) async fn one(&self, cmd: Cmd) -> Result<Value, Trouble> {
        let answer = match self.reads.clone() {
            Way::One(mut link) => cmd.query_async(&mut link).await,
            Way::Many(mut link) => cmd.query_async(&mut link).await,
        };
        answer.map_err(|error| Trouble::of_connecting(&error))
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.writes, Way::Many(_))
    }
}

impl Way {
    /// `INFO` of each primary, with its address in a cluster.
    pub(super) async fn infos(self) -> RedisResult<Vec<(String, String)>> {
        let cmd = redis::cmd("INFO");
        let answer = match self {
            Self::One(mut link) => cmd.query_async::<Value>(&mut link).await?,
            Self::Many(mut link) => {
                let all = MultipleNodeRoutingInfo::AllMasters;
                let routing = RoutingInfo::MultiNode((all, None));
                link.route_command(cmd, routing).await?
            }
        };
        Ok(match answer {
            Value::Map(each) => each.iter().map(|(of, it)| (text(of), text(it))).collect(),
            one => vec![(String::new(), text(&one))],
        })
    }
}

/// Commands whose refusals stand for their answers.
pub(super) fn pipe<'a>(commands: impl Iterator<Item = &'a Cmd>) -> Pipeline {
    let mut pipe = redis::pipe();
    pipe.ignore_errors();
    for command in commands {
        pipe.add_command(command.clone());
    }
    pipe
}

/// Runs each batch on the member that has its slot. Says also whether a member did not answer.
///
/// `single`: commands that a batch of one request has at most.
pub(super) async fn run_on_many(
    link: &ClusterConnection,
    batches: &[Batch],
    single: usize,
) -> (Vec<Answers>, bool) {
    let each = batches.iter().map(|batch| {
        let mut link = link.clone();
        let pipe = pipe(batch.commands.iter());
        async move { pipe.query_async::<Vec<RedisResult<Value>>>(&mut link).await }
    });
    let mut is_suspect = false;
    let mut answers = Vec::with_capacity(batches.len());
    for (batch, all) in batches.iter().zip(side_by_side(each).await) {
        answers.push(all.or_else(|error| {
            is_suspect |=
                error.is_io_error() || error.kind() == ErrorKind::ClusterConnectionNotFound;
            failed(error, batch.commands.len(), single)
        }));
    }
    (answers, is_suspect)
}

/// What it means that a whole pipeline of so many commands failed. One refusal among its answers is enough for that
/// (`MOVED`, `TRYAGAIN`, ...), and what stands before it was done.
fn failed(error: RedisError, commands: usize, single: usize) -> Answers {
    match error.kind() {
        ErrorKind::Server(_) if commands <= single => Ok(vec![Err(error); commands]),
        // Nothing was sent.
        ErrorKind::ClusterConnectionNotFound => Err(Trouble::Unreachable(error.to_string())),
        ErrorKind::Io if error.is_connection_refusal() => {
            Err(Trouble::Unreachable(error.to_string()))
        }
        _ => Err(Trouble::Lost(error.to_string())),
    }
}

/// Runs futures side by side, and answers in their order.
async fn side_by_side<T>(
    each: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T>
where
    T: Send + 'static,
{
    let tasks: Vec<_> = each.map(tokio::spawn).collect();
    let mut all = Vec::with_capacity(tasks.len());
    for task in tasks {
        match task.await {
            Ok(answer) => all.push(answer),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use redis::ServerErrorKind;

    use super::*;

    #[test]
    fn a_refused_pipeline_of_one_request_was_not_done_and_of_more_perhaps() {
        let moved = || RedisError::from((ServerErrorKind::Moved.into(), "said by the server"));
        assert!(matches!(failed(moved(), 2, 2), Ok(answers) if answers.len() == 2));
        assert!(matches!(failed(moved(), 3, 2), Err(Trouble::Lost(_))));
        let nowhere = (ErrorKind::ClusterConnectionNotFound, "no connection").into();
        assert!(matches!(
            failed(nowhere, 3, 2),
            Err(Trouble::Unreachable(_))
        ));
    }
}
