//! Which changes are made, and in which order.

use std::ops::RangeInclusive;

use super::*;

fn class(ports: RangeInclusive<u16>, prefixes: &[(&str, Action)]) -> KernelPortClass {
    let prefixes = prefixes.iter().map(|(prefix, action)| (prefix.parse().unwrap(), *action)).collect();
    KernelPortClass { direction: FlowDirection::Ingress, protocol: 6, ports, prefixes, learns: false }
}

fn run(tables: &mut Tables, endpoint: u32, wanted: &[KernelPortClass]) -> Vec<TableStep> {
    let steps = tables.change(endpoint, wanted);
    steps.iter().for_each(|step| tables.apply(step));
    steps
}

#[test]
fn what_could_not_be_told_is_shut_where_nothing_was_told_before_and_opens_with_its_table() {
    let mut tables = Tables::default();
    run(&mut tables, 1, &[class(64..=127, &[("0.0.0.0/0", Action::Pass)])]);
    let wanted = [class(80..=80, &[("::/0", Action::Pass)]), class(443..=443, &[("::/0", Action::Steer)])];
    let close = |tables: &mut Tables, endpoint, whole| {
        let steps = tables.shut(endpoint, &wanted, whole);
        steps.iter().for_each(|step| tables.apply(step));
        steps.len()
    };
    assert_eq!(close(&mut tables, 1, false), 1, "port 80 has what it was told");
    assert_eq!(close(&mut tables, 2, false), 2);
    assert_eq!(close(&mut tables, 3, true), 1);
    assert_eq!([1, 2, 3].map(|endpoint| close(&mut tables, endpoint, endpoint == 3)), [0; 3], "once is enough");
    for endpoint in [1, 2, 3] {
        run(&mut tables, endpoint, &wanted);
    }
    assert!(tables.ports.values().all(|number| *number != SHUT), "{:?}", tables.ports);
    assert_eq!(tables.ports.len(), 6);

    close(&mut tables, 4, false);
    let mut next = Tables::taken_over(tables.ports.clone(), plain(&tables.classes));
    assert!(
        run(&mut next, 4, &wanted).iter().all(|step| matches!(step, TableStep::Point(_, number) if *number != SHUT)),
        "as before"
    );
    let learning = [learning(443..=443, &[("::/0", Action::Refuse)])];
    next.shut(5, &learning, false).iter().for_each(|step| next.apply(step));
    assert!(
        matches!(run(&mut next, 5, &learning)[0], TableStep::AddClass(number, _) if number != SHUT),
        "nobody owns what is shut"
    );
}

#[test]
fn tables_leave_room_for_those_that_have_to_be_shut() {
    let mut tables = Tables::default();
    let entry = |port: u16, endpoint| ports(endpoint, &class(port..=port, &[])).next().unwrap();
    for endpoint in 1..=u32::try_from(ROOM_FOR_PORTS / 1024).unwrap() {
        (0..1024).for_each(|port| tables.apply(&TableStep::Point(entry(port, endpoint), 0)));
    }
    assert!(tables.has_room_for(&entry(80, 1)), "it is there already");
    assert!(!tables.has_room_for(&entry(80, 9_999)));
    assert!(tables.has_room_for(&all_ports(9_999, &class(80..=80, &[]))));
}

#[test]
fn the_same_table_again_changes_nothing() {
    let mut tables = Tables::default();
    let table = [class(80..=80, &[("0.0.0.0/0", Action::Refuse), ("10.0.0.1/32", Action::Steer)])];
    assert_eq!(run(&mut tables, 1, &table).len(), 2);
    assert_eq!(run(&mut tables, 1, &table), []);
}

#[test]
fn a_class_is_written_before_ports_point_at_it_and_removed_after_they_do_not() {
    let mut tables = Tables::default();
    run(&mut tables, 1, &[class(80..=80, &[("0.0.0.0/0", Action::Steer)])]);
    let steps = run(&mut tables, 1, &[class(80..=81, &[("0.0.0.0/0", Action::Refuse)])]);
    let kinds: Vec<_> = steps
        .iter()
        .map(|step| match step {
            TableStep::AddClass(..) => "add",
            TableStep::Point(..) => "point",
            TableStep::Unpoint(..) => "unpoint",
            TableStep::RemoveClass(..) => "remove",
            TableStep::Set(..) | TableStep::Unset(..) | TableStep::Own(..) => "learn",
        })
        .collect();
    assert_eq!(kinds, ["add", "point", "unpoint", "remove"]);
}

#[test]
fn endpoints_with_the_same_decisions_share_a_class_and_the_last_one_removes_it() {
    let mut tables = Tables::default();
    let table = [class(80..=80, &[("::/0", Action::Refuse)])];
    assert!(matches!(run(&mut tables, 1, &table)[0], TableStep::AddClass(..)));
    assert!(matches!(run(&mut tables, 2, &table)[..], [TableStep::Point(..)]));
    assert!(matches!(run(&mut tables, 1, &[])[..], [TableStep::Unpoint(..)]));
    assert!(matches!(run(&mut tables, 2, &[])[..], [TableStep::Unpoint(..), TableStep::RemoveClass(..)]));
    assert!(tables.endpoints().is_empty());
}

#[test]
fn what_an_earlier_process_left_is_reused_and_never_overwritten() {
    let mut first = Tables::default();
    let table = [class(80..=80, &[("::/0", Action::Steer)])];
    run(&mut first, 1, &table);
    let mut second = Tables::taken_over(first.ports.clone(), plain(&first.classes));
    assert_eq!(second.change(1, &table), []);
    let steps = run(&mut second, 2, &[class(81..=81, &[("::/0", Action::Refuse)])]);
    assert!(matches!(steps[0], TableStep::AddClass(1, _)));
}

fn plain(classes: &HashMap<u32, Held>) -> HashMap<u32, ClassContent> {
    classes.iter().map(|(number, held)| (*number, (*held.content).clone())).collect()
}

fn learning(ports: RangeInclusive<u16>, prefixes: &[(&str, Action)]) -> KernelPortClass {
    KernelPortClass { direction: FlowDirection::Egress, learns: true, ..class(ports, prefixes) }
}

fn resolution(ports: RangeInclusive<u16>, address: &str, action: Option<Action>) -> LearnedAddressChange {
    LearnedAddressChange {
        direction: FlowDirection::Egress,
        protocol: 6,
        ports,
        address: address.parse().unwrap(),
        action,
    }
}

fn learn(tables: &mut Tables, endpoint: u32, resolution: &LearnedAddressChange) -> Option<Vec<TableStep>> {
    let steps = tables.learn(endpoint, resolution)?;
    steps.iter().for_each(|step| tables.apply(step));
    Some(steps)
}

#[test]
fn a_resolution_is_one_entry_and_a_table_with_it_is_no_change_afterwards() {
    let mut tables = Tables::default();
    let everybody = [("0.0.0.0/0", Action::Refuse), ("::/0", Action::Refuse)];
    run(&mut tables, 1, &[learning(443..=443, &everybody)]);
    let steps = learn(&mut tables, 1, &resolution(443..=443, "192.0.2.1", Some(Action::Steer))).unwrap();
    assert_eq!(steps, [TableStep::Set(0, single("192.0.2.1".parse().unwrap()), Action::Steer)]);
    assert_eq!(learn(&mut tables, 1, &resolution(443..=443, "192.0.2.1", Some(Action::Steer))), Some(vec![]));
    let installed = [&everybody[..], &[("192.0.2.1/32", Action::Steer)]].concat();
    assert_eq!(run(&mut tables, 1, &[learning(443..=443, &installed)]), []);
    let steps = learn(&mut tables, 1, &resolution(443..=443, "192.0.2.1", None)).unwrap();
    assert!(matches!(steps[..], [TableStep::Unset(0, _)]));
    assert_eq!(run(&mut tables, 1, &[learning(443..=443, &everybody)]), []);
}

#[test]
fn what_one_endpoint_learns_another_one_with_the_same_table_does_not() {
    let mut tables = Tables::default();
    let everybody = [("0.0.0.0/0", Action::Refuse)];
    for endpoint in [1, 2, 3] {
        let class = KernelPortClass { learns: endpoint != 3, ..learning(443..=443, &everybody) };
        assert!(matches!(run(&mut tables, endpoint, &[class])[0], TableStep::AddClass(..)), "{endpoint} has its own");
    }
    learn(&mut tables, 1, &resolution(443..=443, "192.0.2.1", Some(Action::Pass))).unwrap();
    assert_eq!([0, 1, 2].map(|number| tables.classes[&number].content.len()), [2, 1, 1]);
    assert_eq!(
        learn(&mut tables, 3, &resolution(443..=443, "192.0.2.1", Some(Action::Pass))),
        None,
        "it does not learn"
    );
    assert_eq!(
        run(&mut tables, 4, &[KernelPortClass { learns: false, ..learning(443..=443, &everybody) }]).len(),
        1,
        "shared"
    );
}

#[test]
fn a_resolution_reaches_all_classes_within_its_ports_and_needs_all_of_them() {
    let mut tables = Tables::default();
    let everybody = [("0.0.0.0/0", Action::Refuse)];
    run(&mut tables, 1, &[learning(0..=79, &everybody), learning(80..=80, &everybody), learning(81..=99, &everybody)]);
    assert_eq!(learn(&mut tables, 1, &resolution(0..=80, "192.0.2.1", Some(Action::Pass))).unwrap().len(), 2);
    for ports in [0..=99, 0..=100, 81..=90, 100..=100] {
        let whole = ports == (0..=99);
        assert_eq!(learn(&mut tables, 1, &resolution(ports.clone(), "192.0.2.2", None)).is_some(), whole, "{ports:?}");
    }
    assert_eq!(
        learn(&mut tables, 1, &resolution(0..=99, "127.0.0.53", Some(Action::Steer))),
        None,
        "stubs have a map beside"
    );
}

#[test]
fn single_addresses_of_a_class_that_learns_change_in_place_and_wider_prefixes_in_a_new_class() {
    let mut tables = Tables::default();
    let refused = ("0.0.0.0/0", Action::Refuse);
    run(&mut tables, 1, &[learning(443..=443, &[refused, ("192.0.2.1/32", Action::Pass)])]);
    let steps = run(&mut tables, 1, &[learning(443..=443, &[refused, ("192.0.2.2/32", Action::Pass)])]);
    assert!(matches!(steps[..], [TableStep::Set(0, ..), TableStep::Unset(0, _)]), "{steps:?}");
    let steps = run(&mut tables, 1, &[learning(443..=443, &[refused, ("192.0.2.0/24", Action::Pass)])]);
    let new = |step: &TableStep| {
        matches!(
            step,
            TableStep::AddClass(1, _) | TableStep::Point(_, 1) | TableStep::Own(1, _) | TableStep::RemoveClass(0, _)
        )
    };
    assert!(steps.len() == 4 && steps.iter().all(new), "{steps:?}");
    assert!(matches!(learn(&mut tables, 1, &resolution(443..=443, "192.0.2.2", None)).unwrap()[..], []));
    assert!(matches!(
        learn(&mut tables, 1, &resolution(443..=443, "192.0.2.2", Some(Action::Refuse))).unwrap()[..],
        [TableStep::Set(1, ..)]
    ));
}

#[test]
fn a_class_that_learns_no_more_is_left_to_nobody() {
    let mut tables = Tables::default();
    let everybody = [("0.0.0.0/0", Action::Refuse)];
    run(&mut tables, 1, &[learning(443..=443, &everybody)]);
    let steps = run(&mut tables, 1, &[KernelPortClass { learns: false, ..learning(443..=443, &everybody) }]);
    assert!(
        matches!(steps[..], [TableStep::AddClass(1, _), TableStep::Point(_, 1), TableStep::RemoveClass(0, _)]),
        "{steps:?}"
    );
    assert!(tables.owned.is_empty());
    assert_eq!(run(&mut tables, 1, &[]).len(), 2);
    assert!(tables.classes.is_empty() && tables.numbers.is_empty());
}

#[test]
fn a_class_that_an_earlier_process_left_learns_on_unless_others_use_it() {
    let mut first = Tables::default();
    let table = [learning(443..=443, &[("0.0.0.0/0", Action::Refuse), ("192.0.2.1/32", Action::Pass)])];
    run(&mut first, 1, &table);
    run(&mut first, 2, &table);
    let mut second = Tables::taken_over(first.ports.clone(), plain(&first.classes));
    for endpoint in [1, 2] {
        assert!(matches!(run(&mut second, endpoint, &table)[..], [TableStep::Own(..)]), "nothing for the kernel");
    }
    learn(&mut second, 1, &resolution(443..=443, "192.0.2.1", None)).unwrap();
    assert_ne!(second.classes[&0].content, second.classes[&1].content);

    let shared = [KernelPortClass { learns: false, ..table[0].clone() }];
    let mut first = Tables::default();
    run(&mut first, 1, &shared);
    run(&mut first, 2, &shared);
    let mut second = Tables::taken_over(first.ports.clone(), plain(&first.classes));
    assert!(matches!(run(&mut second, 1, &table)[0], TableStep::AddClass(1, _)));
    assert_eq!(run(&mut second, 2, &shared), []);
}

#[test]
fn ports_whose_datagrams_are_steered_as_a_whole_stay_so_or_ask_for_the_table() {
    let udp = |resolution: LearnedAddressChange| LearnedAddressChange { protocol: UDP, ..resolution };
    let class = |prefixes: &[(&str, Action)]| KernelPortClass { protocol: UDP, ..learning(53..=53, prefixes) };
    let refused = ("0.0.0.0/0", Action::Refuse);
    for (prefixes, address, action, wanted) in [
        (&[refused][..], "192.0.2.1", Some(Action::Pass), Some(Some(Action::Pass))),
        (&[refused], "192.0.2.1", Some(Action::PassAndReport), Some(Some(Action::PassAndReport))),
        (&[refused], "192.0.2.1", Some(Action::Steer), None),
        (&[refused, ("192.0.2.9/32", Action::Steer)], "192.0.2.1", Some(Action::Pass), Some(Some(Action::Steer))),
        (&[refused, ("192.0.2.9/32", Action::Steer)], "192.0.2.1", Some(Action::Steer), Some(Some(Action::Steer))),
        (&[refused, ("192.0.2.9/32", Action::Steer)], "192.0.2.9", None, None),
        (&[refused, ("192.0.2.8/31", Action::Steer), ("192.0.2.9/32", Action::Steer)], "192.0.2.9", None, Some(None)),
    ] {
        let mut tables = Tables::default();
        run(&mut tables, 1, &[class(prefixes)]);
        let steps = learn(&mut tables, 1, &udp(resolution(53..=53, address, action)));
        assert_eq!(steps.is_some(), wanted.is_some(), "{prefixes:?}, {address}: {action:?}");
        let held = tables.classes[&0].content.get(&single(address.parse().unwrap())).copied();
        assert!(wanted.is_none_or(|wanted| wanted == held), "{prefixes:?}, {address}: {action:?} became {held:?}");
    }
}

#[test]
fn the_last_steered_address_of_datagrams_is_known_also_after_resolutions() {
    let mut tables = Tables::default();
    let prefixes = [("0.0.0.0/0", Action::Refuse), ("192.0.2.1/32", Action::Steer)];
    run(&mut tables, 1, &[KernelPortClass { protocol: UDP, ..learning(53..=53, &prefixes) }]);
    let mut learn = |address, action| {
        let resolution = LearnedAddressChange { protocol: UDP, ..resolution(53..=53, address, action) };
        learn(&mut tables, 1, &resolution).map(|steps| steps.len())
    };
    assert_eq!(learn("192.0.2.2", Some(Action::Steer)), Some(1));
    assert_eq!(learn("192.0.2.2", Some(Action::Steer)), Some(0));
    assert_eq!(learn("192.0.2.1", Some(Action::Refuse)), Some(1));
    assert_eq!(learn("192.0.2.2", None), None, "without it nothing would be steered");
    assert_eq!(learn("192.0.2.1", Some(Action::Pass)), Some(1), "steered with the port");
    assert_eq!(learn("192.0.2.2", None), Some(1));
}

#[test]
fn of_a_class_that_does_not_fit_nothing_stays_and_its_number_is_not_used_again() {
    let room = 2;
    let mut map: BTreeMap<PeerPrefix, Action> = BTreeMap::new();
    let content = content(&class(
        80..=80,
        &[("::/0", Action::Refuse), ("10.0.0.0/8", Action::Pass), ("10.0.0.1/32", Action::Steer)],
    ));
    let mut write = |peer: &PeerPrefix, action: Option<Action>| {
        match action {
            Some(_) if map.len() == room => return Err("full"),
            Some(action) => map.insert(*peer, action),
            None => map.remove(peer),
        };
        Ok(())
    };
    assert_eq!(enter(&content, &mut write), Err("full"));
    assert!(map.is_empty());

    let mut tables = Tables::default();
    let wanted = [class(80..=80, &[("::/0", Action::Refuse)])];
    assert!(matches!(tables.change(1, &wanted)[0], TableStep::AddClass(0, _)));
    tables.skip(0);
    assert!(matches!(tables.change(1, &wanted)[0], TableStep::AddClass(1, _)));
}
