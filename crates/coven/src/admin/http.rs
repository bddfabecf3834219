//! The paths below `/admin/`: only with the token of `[http] admin-token-file`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{Admin, Answer, Refused};

/// Answers whoever has the token.
pub fn routes(admin: Admin, token: SecretString) -> Router {
    Router::new()
        .route("/admin/nodes", get(nodes))
        .route("/admin/fronts", get(fronts))
        .route("/admin/shards", get(shards))
        .route("/admin/where/{channel}", get(place))
        .route("/admin/drain/{process}", post(drain))
        .route("/admin/undrain/{process}", post(undrain))
        .route("/admin/move-shard/{shard}/{node}", post(move_shard))
        .route("/admin/quarantine", get(quarantined))
        .route("/admin/quarantine/{channel}", post(quarantine))
        .route("/admin/lift/{channel}", post(lift))
        .route("/admin/accept-store", post(accept_store))
        .route("/admin/finalize-upgrade", post(finalize_upgrade))
        .route("/admin/shutdown/final", post(end_for_good))
        .with_state(admin)
        .layer(from_fn_with_state(Arc::new(token), only_with_token))
}

async fn only_with_token(
    State(token): State<Arc<SecretString>>,
    request: Request,
    next: Next,
) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    match given.is_some_and(|given| is_equal(given, token.expose_secret().as_bytes())) {
        true => next.run(request).await,
        false => said(
            StatusCode::UNAUTHORIZED,
            &json!({ "error": "the token is not right" }),
        ),
    }
}

/// Takes the same time wherever the two differ; their lengths are no secret.
fn is_equal(given: &[u8], token: &[u8]) -> bool {
    let differences = given.iter().zip(token).fold(0, |all, (a, b)| all | (a ^ b));
    given.len() == token.len() && std::hint::black_box(differences) == 0
}

async fn nodes(State(admin): State<Admin>) -> Response {
    shown(admin.nodes())
}

async fn fronts(State(admin): State<Admin>) -> Response {
    shown(admin.fronts())
}

async fn shards(State(admin): State<Admin>) -> Response {
    shown(admin.shards())
}

async fn place(State(admin): State<Admin>, Path(channel): Path<String>) -> Response {
    shown(admin.place(&channel).await)
}

async fn drain(State(admin): State<Admin>, Path(process): Path<String>) -> Response {
    shown(admin.drain(&process, true).await)
}

async fn undrain(State(admin): State<Admin>, Path(process): Path<String>) -> Response {
    shown(admin.drain(&process, false).await)
}

async fn move_shard(
    State(admin): State<Admin>,
    Path((shard, node)): Path<(u16, String)>,
) -> Response {
    shown(admin.move_shard(shard, &node).await)
}

async fn quarantined(State(admin): State<Admin>) -> Response {
    shown(admin.quarantined().await)
}

async fn quarantine(State(admin): State<Admin>, Path(channel): Path<String>) -> Response {
    shown(admin.quarantine(&channel, true).await)
}

async fn lift(State(admin): State<Admin>, Path(channel): Path<String>) -> Response {
    shown(admin.quarantine(&channel, false).await)
}

async fn accept_store(State(admin): State<Admin>) -> Response {
    shown(admin.accept_store().await)
}

async fn finalize_upgrade(State(admin): State<Admin>) -> Response {
    shown(admin.finalize_upgrade().await)
}

async fn end_for_good(State(admin): State<Admin>) -> Response {
    shown(admin.end_for_good())
}

fn shown(answer: Answer) -> Response {
    match answer {
        Ok(value) => said(StatusCode::OK, &value),
        Err(Refused::NotFound(why)) => said(StatusCode::NOT_FOUND, &json!({ "error": why })),
        Err(Refused::NotNow(why)) => {
            said(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": why }))
        }
        Err(Refused::NotHere(why)) => said(StatusCode::CONFLICT, &json!({ "error": why })),
    }
}

fn said(status: StatusCode, value: &Value) -> Response {
    let body = format!("{value}\n");
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_right() {
        assert!(is_equal(b"secret", b"secret"));
        for wrong in [&b""[..], b"secre", b"secrets", b"Secret"] {
            assert!(!is_equal(wrong, b"secret"), "{wrong:?}");
        }
    }
}
