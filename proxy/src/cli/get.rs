//! `portcullis get`.

use std::time::SystemTime;

use portcullis_config::proto::{ListNamesRequest, ListRequest, ListedResource, ResourceType};

use crate::{
    cli::{
        arguments::GetArguments,
        client::NodeClient,
        exit::{ExitStatus, Failure},
        kinds::{KindArg, ShownKind},
    },
    output::CommandOutput,
    render::{
        Format, names,
        resources::{ResourceJson, text, type_word},
        structured,
    },
};

/// Lists the resources, or the names, that are asked for.
///
/// # Errors
/// The node cannot be reached, or has none of that name.
pub async fn run(
    node: NodeClient<'_>,
    arguments: &GetArguments,
    format: Format,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    match arguments.kind {
        ShownKind::Resources(kind) => resources(node, kind, arguments, format, output).await,
        ShownKind::Fqdns => fqdns(node, arguments, format, output).await,
    }
}

async fn fqdns(
    node: NodeClient<'_>,
    arguments: &GetArguments,
    format: Format,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    if arguments.namespace.is_some() {
        return Err(Failure::new(ExitStatus::Usage, "names of DNS have no namespace", "leave --namespace out"));
    }
    let pattern = arguments.name.clone().unwrap_or_default();
    let request = ListNamesRequest { pattern, selected_only: false };
    let learnt = node.names().await?.list(request).await?.into_inner().names;
    if learnt.is_empty()
        && let Some(name) = &arguments.name
    {
        let message = format!("no address of {name} is known");
        return Err(Failure::new(ExitStatus::Failed, message, "`portcullis get fqdn` lists all names"));
    }
    if let Some(text) = structured(format, &names::listed(&learnt))? {
        return Ok(output.text(&text)?);
    }
    if learnt.is_empty() {
        output.say("no names have been learned here");
        return Ok(());
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Ok(output.text(&names::text(&learnt, now))?)
}

async fn resources(
    node: NodeClient<'_>,
    kind: KindArg,
    arguments: &GetArguments,
    format: Format,
    output: &mut CommandOutput,
) -> Result<(), Failure> {
    let kind = ResourceType::from(kind);
    let request = ListRequest { r#type: kind.into() };
    let mut resources = node.config().await?.list(request).await?.into_inner().resources;
    resources.retain(|listed| is_asked_for(listed, arguments));
    resources.sort_by(|one, other| order(one).cmp(&order(other)));
    if resources.is_empty()
        && let Some(name) = &arguments.name
    {
        let place =
            arguments.namespace.as_ref().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
        let message = format!("no {} {name}{place}", type_word(kind));
        return Err(Failure::new(
            ExitStatus::Failed,
            message,
            format!("`portcullis get {}` lists all", type_word(kind)),
        ));
    }
    let listed: Vec<ResourceJson> = resources.into_iter().map(Into::into).collect();
    if let Some(text) = structured(format, &listed)? {
        return Ok(output.text(&text)?);
    }
    if listed.is_empty() {
        output.say(format_args!("no {} here", type_word(kind)));
        return Ok(());
    }
    Ok(output.text(&text(kind, &listed))?)
}

fn is_asked_for(listed: &ListedResource, arguments: &GetArguments) -> bool {
    let Some(key) = &listed.key else { return false };
    arguments.name.as_ref().is_none_or(|name| *name == key.name)
        && arguments.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
}

fn order(listed: &ListedResource) -> Option<(&str, &str)> {
    listed.key.as_ref().map(|key| (key.namespace.as_str(), key.name.as_str()))
}
