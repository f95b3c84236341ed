//! `portcullis delete`.

use portcullis_config::{
    documents,
    proto::{DeleteRequest, ResourceKey, ResourceType},
};

use crate::{
    cli::{
        arguments::DeleteArguments,
        client::NodeClient,
        exit::Failure,
        input,
        kinds::KindArg,
        results::{self, AppliedResource, DocumentSource},
    },
    output::CommandOutput,
    render::Format,
};

/// Removes resources by name, or those that files name.
///
/// # Errors
/// A file or the node cannot be reached, or something was not removed.
pub async fn run(
    node: NodeClient<'_>,
    arguments: &DeleteArguments,
    format: Format,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    let mut entries = Vec::new();
    let (keys, sources): (Vec<ResourceKey>, Vec<DocumentSource>) = match arguments.kind {
        Some(kind) => by_name(kind, arguments).map(|key| (key, DocumentSource::default())).unzip(),
        None => {
            let input = input::read(&arguments.files)?;
            results::say_skipped(&input.skipped, output);
            entries.extend(input.refused.into_iter().map(AppliedResource::unreadable));
            let keyed = input
                .resources
                .iter()
                .filter_map(|(resource, source)| Some((documents::key(resource)?, source.clone())));
            keyed.unzip()
        }
    };
    if !keys.is_empty() {
        let answer = node.config().await?.delete(DeleteRequest { keys }).await?.into_inner();
        let results = answer.results.into_iter().zip(&sources);
        entries.extend(results.map(|(result, source)| AppliedResource::new(result, source, "deleted")));
    }
    results::show(&entries, format, output)
}

fn by_name(kind: KindArg, arguments: &DeleteArguments) -> impl Iterator<Item = ResourceKey> {
    let namespace = match (&arguments.namespace, kind) {
        (Some(namespace), _) => namespace.clone(),
        (None, KindArg::Policy | KindArg::CidrGroup) => String::new(),
        (None, KindArg::NetworkPolicy | KindArg::Endpoint | KindArg::Service | KindArg::Secret) => "default".into(),
    };
    arguments.names.iter().map(move |name| ResourceKey {
        r#type: ResourceType::from(kind).into(),
        namespace: namespace.clone(),
        name: name.clone(),
    })
}
