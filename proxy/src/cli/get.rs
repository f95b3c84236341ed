//! `portcullis get`.

use portcullis_config::proto::{ListRequest, ListedResource, ResourceType};

use crate::{
    cli::{
        arguments::GetArguments,
        client,
        exit::{Exit, Failure},
    },
    output::Output,
    render::{
        Format,
        resources::{Listed, text, type_word},
        structured,
    },
};

/// Lists the resources that are asked for.
///
/// # Errors
/// The node cannot be reached, or has no resource of that name.
pub async fn run(server: &str, arguments: &GetArguments, format: Format, output: &mut Output) -> Result<(), Failure> {
    let kind = ResourceType::from(arguments.kind);
    let request = ListRequest { r#type: kind.into() };
    let mut resources = client::config(server).await?.list(request).await?.into_inner().resources;
    resources.retain(|listed| is_asked_for(listed, arguments));
    resources.sort_by(|one, other| order(one).cmp(&order(other)));
    if resources.is_empty()
        && let Some(name) = &arguments.name
    {
        let place =
            arguments.namespace.as_ref().map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
        let message = format!("no {} {name}{place}", type_word(kind));
        return Err(Failure::new(Exit::Failed, message, format!("`portcullis get {}` lists all", type_word(kind))));
    }
    let listed: Vec<Listed> = resources.into_iter().map(Into::into).collect();
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
