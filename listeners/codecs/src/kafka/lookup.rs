//! Asks a server for the names of topics by their ids. The request uses the connection of the client that sent the
//! ids, so the server applies that client's rights to it.

use super::{
    api::METADATA,
    event::{WalkEvent, WalkValue},
    ids::KnownTopics,
    layout::FieldMeaning,
    wire::{set_length, write_count},
};

/// The first version of Metadata that takes ids alone (KIP-516).
pub(super) const VERSION: i16 = 12;
/// The number of the question. It comes in its turn as every response does.
pub(super) const NUMBER: i32 = 0x706f_7274;

/// Writes the question for the names of some topics, in the client's name. No topic is created by it.
pub(super) fn ask(client: &[u8], ids: &[[u8; 16]], out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&METADATA.to_be_bytes());
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&NUMBER.to_be_bytes());
    // It was read as a text of 16 bits.
    out.extend_from_slice(&u16::try_from(client.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(client);
    out.push(0);
    write_count(Some(ids.len()), true, out);
    for id in ids {
        out.extend_from_slice(id);
        // No name, no tags.
        out.extend_from_slice(&[0, 0]);
    }
    // No topic is created, no operations are told, no tags.
    out.extend_from_slice(&[0, 0, 0]);
    set_length(begin, out);
}

/// Learns names from a response as it is walked.
#[derive(Debug, Default)]
pub(super) struct TopicLearner {
    name: Vec<u8>,
    id: Option<[u8; 16]>,
}

impl TopicLearner {
    /// What comes next of the response.
    pub(super) fn see(&mut self, event: &WalkEvent<'_>, known: KnownTopics<'_>) {
        match event {
            WalkEvent::Entry(FieldMeaning::Topics, _) => {
                self.name.clear();
                self.id = None;
            }
            WalkEvent::Value { meaning: FieldMeaning::TopicName, value: WalkValue::Text(name), .. } => {
                self.name.clear();
                self.name.extend_from_slice(name);
            }
            WalkEvent::Value { meaning: FieldMeaning::TopicId, value: WalkValue::Uuid(id), .. } => self.id = Some(*id),
            WalkEvent::EntryEnd(FieldMeaning::Topics, _) => {
                // A zero stands for an id that nobody may know, or for none.
                let id = self.id.take().filter(|id| *id != [0; 16]);
                if let (Some(id), Ok(name)) = (id, std::str::from_utf8(&self.name))
                    && !name.is_empty()
                {
                    known.ids.learn(known.server, &id, name, known.most);
                }
            }
            _ => {}
        }
    }
}
