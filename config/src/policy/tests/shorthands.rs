//! Keys of a rule that replace several of its fields.

use portcullis_rules::{
    policy::{L7Rule, Matcher},
    schema::{FieldForm, FieldIndex, FieldSpec, ProtocolTraits, Schema, Shorthand, ShorthandEntry},
};

use super::{accepted_with, refused_with, with_ingress};

/// A protocol whose colour and shape may be said in one.
static TOY: Schema = Schema {
    protocol: "toy",
    fields: &[
        FieldSpec { name: "size", form: FieldForm::Exact, checked: true },
        FieldSpec { name: "colour", form: FieldForm::Exact, checked: true },
        FieldSpec { name: "shape", form: FieldForm::Regex, checked: true },
    ],
    nature: &ProtocolTraits {
        shorthands: &[Shorthand {
            name: "ball",
            fields: &[FieldIndex(1), FieldIndex(2)],
            entries: &[
                ShorthandEntry { name: "colour", required: true, remedy: "write colour: red" },
                ShorthandEntry { name: "made", required: false, remedy: "write made: round, or leave it out" },
            ],
            read: |entries| match entries {
                [Some("none"), _] => Err((0, "\"none\" is no colour".to_owned())),
                [_, Some("square")] => Err((1, "no ball is square".to_owned())),
                [colour, made] => {
                    let colour = colour.unwrap_or_default().to_owned();
                    let (shape, shown) = (made.unwrap_or("round|oval").to_owned(), made.unwrap_or("any").to_owned());
                    Ok(vec![(Matcher::Exact(colour.clone()), colour), (Matcher::Regex(shape), shown)])
                }
                _ => Err((0, "too many entries".to_owned())),
            },
        }],
        ..ProtocolTraits::STREAM
    },
};

fn document(rule: &str) -> String {
    with_ingress(&format!("toPorts: [{{ports: [{{port: \"80\", protocol: TCP}}], rules: {{toy: [{rule}]}}}}]"))
}

fn rule(text: &str) -> L7Rule {
    let policy = accepted_with(&document(text), &[&TOY]);
    let entry = policy.rules[0].ingress.as_ref().unwrap()[0].clone();
    entry.ports.unwrap()[0].l7.clone().unwrap().rules[0].clone()
}

#[test]
fn a_shorthand_becomes_the_predicates_that_it_stands_for_and_is_remembered() {
    for (text, shape, shown) in [
        ("{ball: {colour: red}, size: big}", "round|oval", "any"),
        ("{size: big, ball: {made: oval, colour: red}}", "oval", "oval"),
    ] {
        let rule = rule(text);
        let wanted = [
            (0, Matcher::Exact("big".to_owned())),
            (1, Matcher::Exact("red".to_owned())),
            (2, Matcher::Regex(shape.to_owned())),
        ];
        let read = rule.predicates.iter().map(|predicate| (predicate.field.0, predicate.matcher.clone()));
        assert!(read.eq(wanted), "{text}: {rule:?}");
        let told = [0, 1, 2]
            .map(|field| Some((rule.written(FieldIndex(field))?.key, &*rule.written(FieldIndex(field))?.shown)));
        assert_eq!(told, [None, Some(("ball", "red")), Some(("ball", shown))]);
    }
    assert!(rule("{colour: red, shape: oval}").written.is_empty());
}

#[test]
fn a_shorthand_that_says_something_else_is_refused_at_its_place() {
    let rules = "spec.ingress[0].toPorts[0].rules.toy[0]";
    for (text, place, message) in [
        ("{ball: {colour: red}, shape: oval}", "7:99", "shape: cannot stand beside ball, which says it too"),
        ("{colour: red, ball: {colour: red}}", "7:79", "colour: cannot stand beside ball, which says it too"),
        ("{ball: {made: oval}}", "7:77", "ball.colour: is missing"),
        ("{ball: {colour: none}}", "7:86", "ball.colour: \"none\" is no colour"),
        ("{ball: {colour: red, made: square}}", "7:97", "ball.made: no ball is square"),
        ("{ball: {colour: 5}}", "7:86", "ball.colour: has to be a string, but is a number"),
        ("{ball: {colour: red, weight: x}}", "7:91", "ball.weight: unknown field"),
        ("{ball: red}", "7:77", "ball: has to be a mapping, but is a string"),
        ("{ball: ~}", "7:77", "ball: is there, but says nothing"),
    ] {
        let errors = refused_with(&document(text), &[&TOY]);
        assert_eq!(errors.first(), Some(&format!("{place} {rules}.{message}")), "{text}: {errors:?}");
    }
}

/// A protocol that says in words what it takes, once for each of two views of it.
static WORDY: Schema = Schema {
    protocol: "toy",
    fields: &[
        FieldSpec { name: "kind", form: FieldForm::Words, checked: true },
        FieldSpec { name: "use", form: FieldForm::Words, checked: true },
        FieldSpec { name: "owner", form: FieldForm::All, checked: true },
    ],
    nature: &ProtocolTraits {
        shorthands: &[
            Shorthand {
                name: "owners",
                fields: &[FieldIndex(2)],
                entries: &[ShorthandEntry { name: "prefix", required: true, remedy: "write prefix: a" }],
                read: |entries| {
                    let prefix = entries.first().copied().flatten().unwrap_or_default();
                    Ok(vec![(Matcher::Regex(format!("{prefix}.*")), format!("prefix {prefix}"))])
                },
            },
            Shorthand {
                name: "uses",
                fields: &[FieldIndex(1)],
                entries: &[],
                read: |_| Ok(vec![(Matcher::Present, "any".to_owned())]),
            },
        ],
        synonyms: &[FieldIndex(0), FieldIndex(1)],
        read: |field, text| match (field.0, text) {
            (_, "") => Ok(None),
            (0, "ball") => Ok(Some(Matcher::Exact("7".to_owned()))),
            (1, "play") => Ok(Some(Matcher::Regex("7|8".to_owned()))),
            _ => Ok(Some(Matcher::Exact(text.to_owned()))),
        },
        ..ProtocolTraits::STREAM
    },
};

#[test]
fn words_that_stand_for_something_else_are_remembered_as_they_are_written() {
    for (text, written) in [
        ("{kind: ball}", &[(0, "kind", "ball")][..]),
        ("{kind: \"7\"}", &[]),
        ("{use: play, owner: me}", &[(1, "use", "play")]),
        ("{uses: {}, owners: {prefix: m}}", &[(2, "owners", "prefix m"), (1, "uses", "any")]),
        ("{kind: ball, use: \"\", owners: {prefix: m}}", &[(2, "owners", "prefix m"), (0, "kind", "ball")]),
    ] {
        let policy = accepted_with(&document(text), &[&WORDY]);
        let entry = policy.rules[0].ingress.as_ref().unwrap()[0].clone();
        let rule = entry.ports.unwrap()[0].l7.clone().unwrap().rules[0].clone();
        let told: Vec<_> = rule.written.iter().map(|one| (one.field.0, one.key, &*one.shown)).collect();
        assert_eq!(told, written, "{text}");
        assert!(rule.predicates.is_sorted_by_key(|predicate| predicate.field), "{text}");
    }
}

#[test]
fn fields_that_say_one_thing_exclude_each_other() {
    let errors = refused_with(&document("{use: play, kind: ball}"), &[&WORDY]);
    let message = "use: cannot stand beside kind: both say the same thing";
    assert_eq!(errors, [format!("7:76 spec.ingress[0].toPorts[0].rules.toy[0].{message}")]);
}
