//! One suite for all stores: what the trait promises, as cases that run on each implementation.
//!
//! `world` has the stores and what the cases are told in; each other module has the cases of one part of the contract.
//! SQLite runs twice: as it comes, and with a log so short that packing and trimming happen all the time. Redis runs as a
//! single server, behind Sentinels with a replica, and as a cluster of three; `trouble` is about Redis alone, and `cluster_trouble` about a
//! cluster of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod archive;
mod cluster_trouble;
mod commits;
mod directory;
mod filters;
mod life;
mod ownership;
mod receipts;
mod redis_server;
mod retention;
mod sizing;
mod snapshots;
mod trouble;
mod world;

macro_rules! suite {
    ($($module:ident: $($case:ident),+ $(,)?;)+) => {
        mod memory {
            $($(#[test] fn $case() { super::$module::$case(&mut super::world::World::memory()); })+)+
        }
        mod sqlite {
            $($(#[test] fn $case() { super::$module::$case(&mut super::world::World::sqlite()); })+)+
        }
        mod redis {
            $($(#[test] fn $case() {
                let Some(mut world) = super::world::World::redis() else { return };
                super::$module::$case(&mut world);
            })+)+
        }
        mod redis_sentinel {
            $($(#[test] fn $case() {
                let Some(mut world) = super::world::World::redis_sentinel() else { return };
                super::$module::$case(&mut world);
            })+)+
        }
        mod redis_cluster {
            $($(#[test] fn $case() {
                let Some(mut world) = super::world::World::redis_cluster() else { return };
                super::$module::$case(&mut world);
            })+)+
        }
        mod sqlite_short_log {
            $($(#[test] fn $case() { super::$module::$case(&mut super::world::World::sqlite_short_log()); })+)+
        }
    };
}

suite! {
    ownership:
        i1_only_the_newest_owner_writes,
        a_living_owner_is_not_displaced,
        the_owner_judged_dead_is_displaced,
        an_epoch_is_above_all_that_is_known,
        release_lets_anybody_claim,
        a_restart_leaves_no_owner_but_the_epoch,
        the_identity_stays,
        a_closed_store_answers_closed;
    commits:
        commit_numbers_count_by_one,
        commit_numbers_survive_owners_and_restarts,
        a_commit_is_all_or_nothing,
        the_expected_sequence_is_compared,
        gaps_and_twins_are_invalid,
        stamps_never_go_back,
        pipelined_commits_are_done_in_order,
        il_18_a_commit_of_refusals_only_counts,
        il_08_the_first_epoch_is_kept,
        i4_outcomes_are_kept_above_their_base,
        outcomes_of_a_process_are_forgotten_on_demand,
        i6_everything_is_there_after_a_restart;
    receipts:
        il_21_a_removal_names_its_commit,
        unsent_lists_the_shard_only,
        il_13_acknowledgements_are_per_connection_and_lease,
        il_28_acknowledgements_are_stored_without_a_commit,
        acknowledgements_never_go_back,
        a_gone_connection_is_dropped,
        receipts_go_along_with_a_commit,
        receipts_of_unknown_channels_are_passed_over,
        timers_are_set_moved_and_cleared;
    snapshots:
        a_snapshot_covers_the_journal,
        nothing_unacknowledged_is_covered,
        a_snapshot_up_to_the_slowest_connection_is_taken,
        a_snapshot_ahead_of_the_head_is_refused,
        a_snapshot_of_a_forgotten_channel_is_passed_over,
        an_older_snapshot_is_passed_over,
        the_journal_goes_on_after_a_snapshot,
        a_snapshot_does_not_touch_the_archive;
    archive:
        muc_mam_14_pages_forward,
        muc_mam_14_pages_backward,
        muc_mam_14_count_only,
        muc_mam_10_complete_only_when_nothing_is_cut,
        muc_mam_16_bounds,
        only_archived_entries_are_in_the_archive,
        an_archive_of_thousands_stays_in_order;
    filters:
        muc_mam_11_by_time,
        muc_mam_11_by_ids,
        muc_mam_13_unknown_places,
        muc_mam_20_by_sender,
        muc_mam_20_by_what_a_record_says;
    retention:
        muc_mam_22_mix_mam_18_retention_drops_the_oldest,
        muc_mam_22_mix_mam_18_a_rewritten_message_keeps_its_place,
        a_rewrite_reaches_pages_and_tail;
    directory:
        muc_disco_05_pages_by_name,
        muc_disco_05_unknown_name,
        unlisted_channels_are_shown_on_demand,
        listings_change_and_go,
        all_channels_of_a_space;
    life:
        a_channel_exists_from_its_creation_to_its_end,
        muc_mam_23_a_destroyed_channel_has_no_archive,
        muc_mam_23_a_later_channel_does_not_show_the_old_archive,
        destroyed_and_made_again_in_one_commit,
        a_destroyed_channel_is_kept_until_its_output_is_acknowledged,
        i4_a_destroyed_channel_is_kept_while_it_has_outcomes,
        a_forgotten_channel_may_be_made_again_at_any_number,
        only_created_channels_have_events;
}
