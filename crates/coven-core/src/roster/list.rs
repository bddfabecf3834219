//! The sessions of one person: nearly always one, which then costs no allocation, and no place for a list.

use crate::ids::SessionNo;

/// Numbers of sessions, in order of their beginning.
#[derive(Debug, Clone, Default)]
pub(super) enum List {
    /// None or one.
    #[default]
    Empty,
    /// One.
    One(SessionNo),
    /// Several.
    #[allow(
        clippy::box_collection,
        reason = "a list is three words, in each person"
    )]
    Many(Box<Vec<SessionNo>>),
}

impl List {
    /// Adds the newest.
    pub(super) fn push(&mut self, no: SessionNo) {
        match self {
            Self::Empty => *self = Self::One(no),
            Self::One(first) => *self = Self::Many(Box::new(vec![*first, no])),
            Self::Many(numbers) => numbers.push(no),
        }
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, no: SessionNo) {
        match self {
            Self::One(only) if *only == no => *self = Self::Empty,
            Self::Many(numbers) => {
                numbers.retain(|other| *other != no);
                match numbers.as_slice() {
                    [] => *self = Self::Empty,
                    [only] => *self = Self::One(*only),
                    _ => {}
                }
            }
            Self::Empty | Self::One(_) => {}
        }
    }

    /// The numbers.
    pub(super) fn as_slice(&self) -> &[SessionNo] {
        match self {
            Self::Empty => &[],
            Self::One(no) => std::slice::from_ref(no),
            Self::Many(numbers) => numbers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_put_in_and_not_taken_out() {
        let [a, b, c] = [1, 2, 3].map(SessionNo);
        let mut list = List::default();
        for no in [a, b, c] {
            list.push(no);
        }
        list.remove(b);
        list.remove(b);
        assert_eq!(list.as_slice(), [a, c]);
        list.remove(a);
        assert!(matches!(list, List::One(no) if no == c));
        list.remove(a);
        list.push(b);
        assert_eq!(list.as_slice(), [c, b]);
        list.remove(c);
        list.remove(b);
        assert!(matches!(list, List::Empty));
    }
}
