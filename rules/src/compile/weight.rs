//! The cost of policies alone, before they are combined with endpoints.

use std::{collections::HashSet, sync::Arc};

use crate::{
    bounds::{AUTOMATON_STEP, Meter, footprint, regular_expressions},
    pattern::{Automaton, REGEX_BUDGET},
    world::World,
};

/// Takes for each policy what it is as it was read, and its regular expressions; those of several policies for the first.
pub(crate) fn weigh(world: &World, meter: &Meter) -> Vec<Arc<Automaton>> {
    let mut automata: Vec<Arc<Automaton>> = Vec::new();
    let mut seen: HashSet<*const Automaton> = HashSet::new();
    world.patterns.begin();
    for (number, policy) in (0..).zip(&world.policies) {
        meter.turn_to(number);
        if !meter.take(footprint(policy), 1) {
            break;
        }
        for pattern in regular_expressions(policy) {
            let (memory, made) = match world.patterns.compile(pattern) {
                Ok(automaton) if seen.insert(Arc::as_ptr(&automaton)) => {
                    let size = automaton.size();
                    automata.push(automaton);
                    (size, size)
                }
                Ok(_) => (0, 0),
                // What is too large is known only after as much was made.
                Err(_) => (0, REGEX_BUDGET),
            };
            if !meter.take(memory, 1 + made / AUTOMATON_STEP) {
                return automata;
            }
        }
    }
    automata
}
