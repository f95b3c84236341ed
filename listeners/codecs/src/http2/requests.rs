//! The client's header blocks: requests, each judged before any of it is forwarded, and their trailers.

use portcullis_rules::effects::HeaderChange;

use super::{
    Http2,
    block::HeaderBlock,
    field::{check_trailers_of_request, trimmed},
    frame,
    hpack::{FieldList, HeaderField, Representation},
    request::StreamRequestHead,
    streams::{Half, OpenStream, StreamState},
    turn::RelayCall,
    violation::Violation,
};
use crate::relay::{Decision, Side};

impl Http2 {
    pub(super) fn request_block(&mut self, block: &HeaderBlock<'_>, turn: &mut RelayCall<'_>) -> Result<(), Violation> {
        turn.skip(block.frames.len());
        match self.streams.place(block.stream) {
            StreamState::Idle => Err(Violation::StreamId),
            StreamState::Ended => Err(Violation::StreamClosed),
            StreamState::Reset => self.refuse(block.stream, Violation::StreamClosed, turn),
            // The trailers of a stream that was denied or reset.
            StreamState::Over => self.budgets[Side::Downstream as usize].ignored.spend(),
            StreamState::Open(index) => self.request_trailers(index, block, turn),
            StreamState::New => self.request(block, turn),
        }
    }

    fn request(&mut self, block: &HeaderBlock<'_>, turn: &mut RelayCall<'_>) -> Result<(), Violation> {
        let id = block.stream;
        self.streams.use_id(id);
        if id > self.last {
            // The server has said that it deals with no such stream.
            return Ok(());
        }
        if let Some(violation) = block.large {
            return self.refuse_large(id, violation, block.end_stream, turn);
        }
        let extended = self.ways[Side::Upstream as usize].settings.in_force.extended_connect;
        let head = match StreamRequestHead::read(block.fields, id, extended) {
            Ok(head) => head,
            Err(violation) => return self.refuse(id, violation, turn),
        };
        let mut half = Half::Body(head.length.filter(|_| !head.is_connect()));
        if block.end_stream
            && let Err(violation) = half.data(0, true)
        {
            return self.refuse(id, violation, turn);
        }
        if self.streams.len() >= self.limits.http2.streams as usize {
            return self.refuse(id, Violation::ManyStreams, turn);
        }
        match turn.checker.check(&head) {
            Decision::Allow => self.allow(&head, half, block.fields, block, turn),
            Decision::Rewrite => {
                let fields = changed(block.fields, turn.checker.changes());
                self.allow(&head, half, &fields, block, turn);
            }
            Decision::Reset | Decision::Partial { .. } | Decision::Filter => self.deny_by_reset(id, turn),
            Decision::Disconnect => self.deny_by_disconnect(id, turn),
            Decision::Respond | Decision::Hide => self.deny_by_answer(id, head.call, block.end_stream, turn),
        }
        Ok(())
    }

    /// Opens the stream and writes the request for the server.
    fn allow(
        &mut self,
        head: &StreamRequestHead<'_>,
        half: Half,
        fields: &FieldList,
        block: &HeaderBlock<'_>,
        turn: &mut RelayCall<'_>,
    ) {
        let id = block.stream;
        self.streams.open(OpenStream {
            id,
            exchange: id,
            halves: [half, Half::Head],
            head: head.is_head(),
            connect: head.is_connect(),
            status: None,
            told: false,
        });
        self.write(id, block.end_stream, fields, turn);
    }

    fn request_trailers(
        &mut self,
        index: usize,
        block: &HeaderBlock<'_>,
        turn: &mut RelayCall<'_>,
    ) -> Result<(), Violation> {
        let large = block.large.is_some() || block.fields.size() > self.limits.http2.trailers as usize;
        let half = &mut self.streams.get(index).halves[Side::Downstream as usize];
        // What stands behind the end is no trailers, whatever its fields are.
        let taken = half.trailers(block.end_stream).and_then(|()| match large {
            true => Err(Violation::Trailers),
            false => check_trailers_of_request(block.fields.iter()),
        });
        match taken {
            Err(violation) => self.cut(index, violation, turn),
            Ok(()) => {
                self.came_on(index, turn);
                self.write(block.stream, true, block.fields, turn);
                Ok(())
            }
        }
    }

    /// Writes a header block for the server.
    fn write(&mut self, id: u32, end_stream: bool, fields: &FieldList, turn: &mut RelayCall<'_>) {
        let encoder = &mut self.encoder;
        // The bytes of the block have been taken.
        turn.replace(0, |out| {
            frame::headers(id, end_stream, out, |out| encoder.encode(fields.iter().map(trimmed), out))
        });
    }
}

/// The fields with what rules change about them.
fn changed(fields: &FieldList, changes: &[HeaderChange]) -> FieldList {
    let mut list = FieldList::default();
    let goes = |field: &HeaderField<'_>| {
        changes.iter().any(|change| change.kept.is_none() && change.name.as_bytes() == field.name)
    };
    fields.iter().filter(|field| !goes(field)).for_each(|field| list.push(field));
    for change in changes {
        for value in &change.added {
            // It may be a secret.
            let representation = Representation::NeverIndexed;
            list.push(HeaderField { name: change.name.as_bytes(), value: value.text().as_bytes(), representation });
        }
    }
    list
}
