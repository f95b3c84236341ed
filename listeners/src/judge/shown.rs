//! Selects what of a request is shown in events.

use portcullis_rules::{
    request::Request,
    schema::{FieldForm, FieldIndex},
};

use crate::telemetry::EventField;

/// Longest value of a field that is shown, in bytes.
const LONGEST: usize = 2048;
/// Values of one field that are shown; of further ones, how many there are.
const MOST: usize = 16;

/// The fields of a request that are shown: headers never are, their values may be secret.
pub(super) fn fields(request: &dyn Request) -> Vec<EventField> {
    let mut fields = Vec::new();
    let schema = request.schema();
    for (index, spec) in (0..).map(FieldIndex).zip(schema.fields).filter(|(index, _)| schema.shown_by(*index) == *index)
    {
        let several = matches!(spec.form, FieldForm::Each | FieldForm::All);
        let count = if several { request.count(index).unwrap_or(0) } else { 0 };
        let mut show = |value: &[u8], more| {
            let cut = &value[..value.len().min(LONGEST)];
            fields.push(EventField { name: spec.name, value: String::from_utf8_lossy(cut).into_owned(), more });
        };
        match spec.form {
            FieldForm::Headers => {}
            _ if count > 0 => {
                let last = count.min(MOST) - 1;
                (0..=last).for_each(|n| show(request.nth(index, n), if n == last { count - 1 - last } else { 0 }));
            }
            _ => {
                if let Some(value) = request.shown(index) {
                    show(&value, 0);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use portcullis_codecs::kafka::KafkaRequest;

    use super::{MOST, fields};
    use crate::tests::toy_protocol::Line;

    /// Values of `tag`, and how many more there are.
    fn tags(count: usize) -> (usize, usize) {
        let tags = (0..count).map(|number| format!("tag-{number}")).collect();
        let shown = fields(&Line { tags, ..Line::default() });
        let tags = shown.iter().filter(|field| field.name == "tag");
        (tags.clone().count(), tags.map(|field| field.more).sum())
    }

    #[test]
    fn every_value_of_a_field_is_shown_up_to_a_bound_and_the_rest_is_counted() {
        assert_eq!([0, 1, 3, MOST, MOST + 5].map(tags), [(0, 0), (1, 0), (3, 0), (MOST, 0), (MOST, 5)]);
    }

    #[test]
    fn fields_that_say_one_thing_are_shown_once_and_in_words() {
        let topics = ["a", "b"].map(str::to_owned).to_vec();
        let message = KafkaRequest::new(8, 9, "shop", topics).of_groups(vec!["g".to_owned()]);
        let shown: Vec<_> = fields(&message).into_iter().map(|field| (field.name, field.value)).collect();
        let wanted = [
            ("apiKey", "offsetcommit"),
            ("apiVersion", "9"),
            ("clientID", "shop"),
            ("topic", "a"),
            ("topic", "b"),
            ("group", "g"),
        ];
        assert_eq!(shown, wanted.map(|(name, value)| (name, value.to_owned())));
    }
}
