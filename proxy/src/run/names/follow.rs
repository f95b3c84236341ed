//! One subscriber to learned names.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher as _, RandomState},
    ops::Bound,
    sync::Arc,
};

use portcullis_config::{names::CachedName, proto};
use portcullis_rules::snapshot::Snapshot;

use super::{NameQuery, PAGE};
use crate::run::{backends::KernelHandle, followers::Follower, resolutions::LearnedState};

/// Names that have changed that are looked up at a time.
const BATCH: usize = 64;

/// What is to be looked at.
#[derive(Debug, Default)]
enum FollowStep {
    #[default]
    Nothing,
    /// These names.
    Some(BTreeSet<Arc<str>>),
    /// All names behind this one.
    All { after: Option<Arc<str>>, announced: bool },
}

/// A reader: what it was told, and what it has to be told.
pub(super) struct Reader<K> {
    resolutions: LearnedState<K>,
    asked: NameQuery,
    follower: Follower,
    work: FollowStep,
    /// Nothing was told yet.
    fresh: bool,
    lost: u64,
    /// The names that it knows, each with a digest of what it was told of it. Not larger than the name cache.
    told: BTreeMap<Arc<str>, u64>,
    digests: RandomState,
}

impl<K: KernelHandle + 'static> Reader<K> {
    pub(super) fn new(resolutions: LearnedState<K>, asked: NameQuery) -> Self {
        // Whatever changes from now on is due, so what is read first need not be of one moment.
        let follower = resolutions.followers().sit();
        let (told, digests) = (BTreeMap::new(), RandomState::new());
        Self { resolutions, asked, follower, work: FollowStep::Nothing, fresh: true, lost: 0, told, digests }
    }

    /// The next update; it waits until there is one.
    pub(super) async fn next(mut self) -> Option<(proto::NamesUpdate, Self)> {
        loop {
            if matches!(self.work, FollowStep::Nothing) {
                let due = self.follower.due().await;
                self.lost += due.lost;
                self.work = if due.everything {
                    FollowStep::All { after: None, announced: self.fresh || due.lost > 0 }
                } else {
                    FollowStep::Some(due.names)
                };
                self.fresh = false;
            }
            // An answer, or the table of an endpoint, may hold the lock of the cache just now.
            let step = tokio::task::spawn_blocking(move || (self.step(), self));
            let (update, reader) = step.await.ok()?;
            self = reader;
            if let Some(update) = update {
                return Some((update, self));
            }
        }
    }

    /// Does a part of the work.
    fn step(&mut self) -> Option<proto::NamesUpdate> {
        let (names, complete) = match std::mem::take(&mut self.work) {
            FollowStep::Nothing => return None,
            FollowStep::Some(names) => (self.some(names), false),
            FollowStep::All { after, announced } => {
                let (names, last) = self.page(after.as_ref());
                let over = last.is_none();
                if !over {
                    self.work = FollowStep::All { after: last, announced };
                }
                (names, over && announced)
            }
        };
        if names.is_empty() && !complete {
            return None;
        }
        Some(proto::NamesUpdate { names, complete, lost: std::mem::take(&mut self.lost) })
    }

    fn some(&mut self, mut names: BTreeSet<Arc<str>>) -> Vec<proto::LearntName> {
        let rest = names.iter().nth(BATCH).cloned().map(|next| names.split_off(&next));
        self.work = rest.map_or(FollowStep::Nothing, FollowStep::Some);
        let names: Vec<Arc<str>> = names.into_iter().filter(|name| self.asked.takes(name)).collect();
        let (known, snapshot) = self.resolutions.known(&names);
        let told = names.iter().zip(known).filter_map(|(name, known)| match known {
            Some(known) => self.tell(&known, &snapshot),
            None => self.forget(name),
        });
        told.collect()
    }

    /// Looks at the next names of all, and gives the last of them; `None` where there were no more. What it was told of
    /// names in between that are not there is over.
    fn page(&mut self, after: Option<&Arc<str>>) -> (Vec<proto::LearntName>, Option<Arc<str>>) {
        let (page, snapshot) = self.resolutions.page(after.map(|after| &**after), PAGE);
        let last = page.last().map(|known| Arc::clone(&known.name));
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(&**after));
        let to = last.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let there: BTreeSet<&str> = page.iter().map(|known| &*known.name).collect();
        let over = self.told.range::<str, _>((from, to)).map(|(name, _)| name);
        let over: Vec<Arc<str>> = over.filter(|name| !there.contains(&***name)).cloned().collect();
        let mut names: Vec<_> = over.iter().filter_map(|name| self.forget(name)).collect();
        names.extend(page.iter().filter_map(|known| self.tell(known, &snapshot)));
        (names, last)
    }

    /// What it has to be told of a name that is known: nothing, if it was told just that.
    fn tell(&mut self, known: &CachedName, snapshot: &Snapshot) -> Option<proto::LearntName> {
        let Some(shown) = self.asked.show(known, snapshot) else { return self.forget(&known.name) };
        let digest = self.digests.hash_one((&known.addresses, shown.selected));
        let before = self.told.insert(Arc::clone(&known.name), digest);
        (before != Some(digest)).then_some(shown)
    }

    fn forget(&mut self, name: &Arc<str>) -> Option<proto::LearntName> {
        self.told.remove(name)?;
        Some(proto::LearntName { name: name.to_string(), ..proto::LearntName::default() })
    }
}
