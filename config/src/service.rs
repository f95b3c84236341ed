//! Checks pushed services and converts them for the rules.

use portcullis_rules::{
    labels::LabelSet,
    world::{Service, ServicePort},
};

use crate::{
    endpoint::{addresses, check_labels, or_default, port_number, transport},
    metadata::name_problem,
    problem::DocumentProblem,
    proto,
};

/// Checks a service.
///
/// # Errors
/// What is wrong, with the fields of its document.
pub(crate) fn read(service: &proto::Service) -> Result<Service, Vec<DocumentProblem>> {
    let mut problems = Vec::new();
    let namespace = or_default(&service.namespace);
    problems.extend(name_problem("metadata.name", &service.name));
    problems.extend(name_problem("metadata.namespace", namespace));
    check_labels(&service.labels, &mut problems);
    let vips = addresses("spec.vips", &service.vips, &mut problems);
    let backends = addresses("spec.backends", &service.backends, &mut problems);
    let ports = ports(&service.ports, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let pairs = service.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
    let labels = LabelSet::of_pod(namespace, "", pairs);
    Ok(Service { namespace: namespace.into(), name: service.name.as_str().into(), labels, vips, ports, backends })
}

fn ports(ports: &[proto::ServicePort], problems: &mut Vec<DocumentProblem>) -> Vec<ServicePort> {
    let mut read: Vec<ServicePort> = Vec::with_capacity(ports.len());
    for (index, port) in ports.iter().enumerate() {
        let field = format!("spec.ports[{index}]");
        let number = port_number(format!("{field}.port"), port.port, problems);
        let target_port = match port.target_port {
            0 => number,
            target => port_number(format!("{field}.targetPort"), target, problems),
        };
        let transport = transport(format!("{field}.protocol"), &port.protocol, problems);
        if read.iter().any(|other| other.port == number && other.transport == transport) {
            let message = format!("port {number} of this protocol is there twice");
            problems.push(DocumentProblem::new(field, message, "remove one of them"));
        }
        read.push(ServicePort { name: port.name.clone(), port: number, transport, target_port });
    }
    read
}
