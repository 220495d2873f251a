//! Separates the tool calls of one choice, and normalises their fragments to
//! the one form that callers rely on.
//!
//! Providers identify a call by index, by id, by both, or by its position in a
//! list; some repeat the id on every fragment, others send the name or the id
//! late. The output is uniform: each call has an index of its own, its id and
//! its name are on its first fragment only, and its arguments are never blank.
//! A first fragment waits until both are known, for a bounded number of bytes;
//! an id that never arrives is generated.
//!
//! There is one instance per choice.

use std::borrow::Cow;

use crate::event::ToolCallFragment;

/// Maximum calls of one choice; bounded because each fragment is looked up among them.
const MAX_CALLS: usize = 1024;
/// Maximum bytes of arguments held back while an id or a name may still arrive.
const MAX_HELD_BYTES: usize = 4 * 1024;
const MADE_UP_ID_CHARS: usize = 24;

/// The calls of one choice, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<CallState>,
    /// The latest call at each position of the list.
    places: Vec<usize>,
}

/// A fragment as the provider sends it; empty values are absent.
#[derive(Debug, Default)]
pub(super) struct Fragment<'a> {
    /// Its position in the list it came in.
    pub(super) place: usize,
    pub(super) index: Option<u32>,
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) arguments: Cow<'a, str>,
}

/// The answer has more calls than any model makes.
#[derive(Debug)]
pub(super) struct TooManyCalls;

#[derive(Debug)]
struct CallState {
    /// The index the provider gave.
    given_index: Option<u32>,
    /// The index the caller sees.
    index: u32,
    id: Option<String>,
    name: Option<String>,
    held_arguments: String,
    has_arguments: bool,
    is_published: bool,
}

impl Calls {
    /// Processes a fragment; returns the fragment to publish now, if any.
    pub(super) fn take(
        &mut self,
        fragment: Fragment<'_>,
    ) -> Result<Option<ToolCallFragment>, TooManyCalls> {
        let known = self.find(&fragment);
        let at = match known {
            Some(at) => at,
            None if fragment.is_empty() => return Ok(None),
            None => self.open(&fragment)?,
        };
        self.note_place(fragment.place, at);
        Ok(self.calls[at].take(fragment))
    }

    /// Returns the fragments left to publish once the stream has ended.
    pub(super) fn finish(&mut self) -> impl Iterator<Item = ToolCallFragment> {
        self.calls.iter_mut().filter_map(CallState::finish)
    }

    /// Returns the position of the call that a fragment continues, if it does
    /// not begin one.
    fn find(&self, fragment: &Fragment<'_>) -> Option<usize> {
        let same_index =
            |call: &CallState| fragment.index.is_none_or(|index| call.given_index == Some(index));
        if let Some(id) = fragment.id.as_deref() {
            let by_id = self
                .calls
                .iter()
                .rposition(|call| call.id.as_deref() == Some(id) && same_index(call));
            if by_id.is_some() {
                return by_id;
            }
        }
        let at = match fragment.index {
            Some(_) => self.calls.iter().rposition(same_index)?,
            None => *self.places.get(fragment.place)?,
        };
        (!self.calls[at].is_followed_by(fragment)).then_some(at)
    }

    fn open(&mut self, fragment: &Fragment<'_>) -> Result<usize, TooManyCalls> {
        if self.calls.len() >= MAX_CALLS {
            return Err(TooManyCalls);
        }
        let wanted = fragment.index.or_else(|| u32::try_from(fragment.place).ok());
        let index =
            wanted.filter(|index| self.is_free(*index)).unwrap_or_else(|| self.free_index());
        self.calls.push(CallState::new(fragment.index, index));
        Ok(self.calls.len() - 1)
    }

    fn is_free(&self, index: u32) -> bool {
        self.calls.iter().all(|call| call.index != index)
    }

    /// Returns an index after all others, so that the order is kept.
    fn free_index(&self) -> u32 {
        let last = self.calls.iter().map(|call| call.index).max();
        let next = last.map_or(Some(0), |last| last.checked_add(1));
        next.unwrap_or_else(|| (0..).find(|index| self.is_free(*index)).unwrap_or(0))
    }

    fn note_place(&mut self, place: usize, at: usize) {
        // Bounded by the largest event: a position counts the items of its list.
        if place >= self.places.len() {
            self.places.resize(place + 1, at);
        }
        self.places[place] = at;
    }
}

impl Fragment<'_> {
    fn is_empty(&self) -> bool {
        self.id.is_none() && self.name.is_none() && self.arguments.is_empty()
    }
}

impl CallState {
    fn new(given_index: Option<u32>, index: u32) -> CallState {
        CallState {
            given_index,
            index,
            id: None,
            name: None,
            held_arguments: String::new(),
            has_arguments: false,
            is_published: false,
        }
    }

    /// Returns true if a fragment in this call's position begins another call:
    /// it has another id, or names a function although this call's arguments
    /// have begun. Without index and id, only a name can begin a call.
    fn is_followed_by(&self, fragment: &Fragment<'_>) -> bool {
        let differs = |own: &Option<String>, other: &Option<Cow<'_, str>>| matches!((own, other), (Some(own), Some(other)) if own != other);
        if differs(&self.id, &fragment.id) {
            return true;
        }
        let is_named_again = self.name.is_some() && fragment.name.is_some();
        let is_nameless = fragment.index.is_none() && (fragment.id.is_none() || self.id.is_none());
        self.has_arguments && is_named_again && (is_nameless || differs(&self.name, &fragment.name))
    }

    fn take(&mut self, fragment: Fragment<'_>) -> Option<ToolCallFragment> {
        self.has_arguments |= !fragment.arguments.trim_ascii().is_empty();
        if self.is_published {
            let arguments = fragment.arguments.into_owned();
            return (!arguments.is_empty()).then(|| self.fragment(arguments));
        }
        self.id = self.id.take().or_else(|| fragment.id.map(Cow::into_owned));
        self.name = self.name.take().or_else(|| fragment.name.map(Cow::into_owned));
        self.held_arguments.push_str(&fragment.arguments);
        let is_known = self.id.is_some() && self.name.is_some();
        (is_known || self.held_arguments.len() > MAX_HELD_BYTES).then(|| self.publish())
    }

    /// Returns the held-back first fragment, or `{}` for a call without arguments.
    fn finish(&mut self) -> Option<ToolCallFragment> {
        let rest = if self.has_arguments { "" } else { "{}" };
        self.has_arguments = true;
        if self.is_published {
            return (!rest.is_empty()).then(|| self.fragment(rest.to_owned()));
        }
        self.held_arguments.push_str(rest);
        Some(self.publish())
    }

    fn publish(&mut self) -> ToolCallFragment {
        self.is_published = true;
        let arguments = std::mem::take(&mut self.held_arguments);
        let id = self.id.get_or_insert_with(make_up_id).clone();
        ToolCallFragment { id: Some(id), name: self.name.clone(), ..self.fragment(arguments) }
    }

    fn fragment(&self, arguments: String) -> ToolCallFragment {
        ToolCallFragment { index: self.index, id: None, name: None, arguments }
    }
}

/// Returns a random id, unique across workers within a conversation.
fn make_up_id() -> String {
    let random = std::iter::repeat_with(fastrand::alphanumeric).take(MADE_UP_ID_CHARS);
    std::iter::once("call_".to_owned()).chain(random.map(String::from)).collect()
}
