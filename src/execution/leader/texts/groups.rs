//! Gathers what several executions add under one key, into batches of a bounded number.
//! It has neither clock nor lock.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

/// Items by key that do not fill a batch yet. A group exists from its first addition until
/// it is [taken](Groups::take), whether or not a batch has become full.
#[derive(Debug)]
pub(super) struct Groups<K, T>(HashMap<K, Vec<T>>);

/// The effect of an addition.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Added<T> {
    /// The batches that are full now.
    pub(super) full: Vec<Vec<T>>,
    /// True if the group is new: somebody has to take it when its time is over.
    pub(super) is_new: bool,
}

impl<K: Eq + Hash, T> Groups<K, T> {
    /// Adds to a group whose batches have `most` items.
    pub(super) fn add(&mut self, key: K, items: Vec<T>, most: usize) -> Added<T> {
        let (group, is_new) = match self.0.entry(key) {
            Entry::Occupied(group) => (group.into_mut(), false),
            Entry::Vacant(vacant) => (vacant.insert(Vec::new()), true),
        };
        group.extend(items);
        let count = group.len() / most.max(1);
        let full = (0..count).map(|_| group.drain(..most.max(1)).collect()).collect();
        Added { full, is_new }
    }

    /// Ends a group, and returns what is left in it.
    pub(super) fn take(&mut self, key: &K) -> Vec<T> {
        self.0.remove(key).unwrap_or_default()
    }
}

impl<K, T> Default for Groups<K, T> {
    fn default() -> Groups<K, T> {
        Groups(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Nothing is lost, doubled or moved to another key, and no batch is too large.
        #[test]
        fn every_item_is_in_one_batch_of_its_key(
            additions in prop::collection::vec((0_u8..3, 0_usize..7, any::<bool>()), 1..30),
            most in 1_usize..5,
        ) {
            let mut groups = Groups::default();
            let (mut added, mut out) = (Vec::new(), Vec::new());
            let mut open = [false; 3];
            for (key, count, takes) in additions {
                let items: Vec<_> = (added.len()..added.len() + count).map(|n| (key, n)).collect();
                added.extend(&items);
                let Added { full, is_new } = groups.add(key, items, most);
                prop_assert_eq!(is_new, !std::mem::replace(&mut open[key as usize], true));
                prop_assert!(full.iter().all(|batch| batch.len() == most));
                out.extend(full.into_iter().flatten());
                if takes {
                    open[key as usize] = false;
                    let rest = groups.take(&key);
                    prop_assert!(rest.len() < most);
                    prop_assert!(rest.iter().all(|item| item.0 == key));
                    out.extend(rest);
                }
            }
            out.extend((0..3).flat_map(|key| groups.take(&key)));
            out.sort_by_key(|item| item.1);
            prop_assert_eq!(out, added);
            prop_assert!(groups.0.is_empty());
        }
    }
}
