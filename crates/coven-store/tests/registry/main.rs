//! One suite for both registries: what the trait promises, as cases that run in memory and on a real Redis.
//!
//! `world` has the registries and what the cases are told in; `full` is for Redis alone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod cases;
mod full;
mod own_redis;
#[path = "../conformance/redis_server.rs"]
mod redis_server;
mod world;

macro_rules! suite {
    ($($case:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test(start_paused = true)] async fn $case() {
                super::cases::$case(super::world::World::memory()).await;
            })+
        }
        mod redis {
            $(#[tokio::test] async fn $case() {
                let Some(world) = super::world::World::redis().await else { return };
                super::cases::$case(world).await;
            })+
        }
    };
}

suite! {
    a_session_is_seen_by_all_with_what_it_says,
    a_session_ends_with_its_time,
    a_renewed_session_lasts,
    a_session_that_is_over_is_not_renewed,
    a_closed_session_is_gone_at_once,
    what_a_session_says_is_replaced,
    a_lease_has_one_holder,
    the_number_of_a_lease_is_above_all_that_is_known,
    the_holder_judged_dead_is_replaced,
    a_holder_that_asks_again_gets_a_new_number,
    a_released_lease_is_free_and_its_number_stays,
    only_the_lease_of_this_number_is_released,
    il_14_a_lease_is_asked_to_be_given_up,
    operators_ask_and_take_back,
    what_was_asked_of_a_process_ends_with_it,
    i7_a_format_is_finalized_for_all,
    il_31_the_store_is_named,
    unbroken_counts_from_the_first_poll,
}
