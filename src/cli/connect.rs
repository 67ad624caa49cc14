//! The cluster a command speaks to, and the objects it names.

use anyhow::{Context, Result, bail};
use clap::Args;
use kube::api::{Api, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::ApiResource;
use kube::{Client, Config, CustomResourceExt, Resource};

use crate::api::{GitSync, HelmRelease};

/// Which cluster, as whom, in which namespace. The names are kubectl's.
#[derive(Args, Clone, Debug, Default)]
pub struct Connection {
    /// The kubeconfig file; default is $KUBECONFIG, then ~/.kube/config, then the Pod's own account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<std::path::PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// The namespace; default is the context's
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// The user to act as
    #[arg(long = "as", value_name = "USER")]
    pub act_as: Option<String>,
}

impl Connection {
    /// The configuration of the client.
    ///
    /// # Errors
    /// No kubeconfig and not in a Pod, or a context that is not there.
    pub async fn config(&self) -> Result<Config> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path)
                    .with_context(|| format!("the kubeconfig {} cannot be read", path.display()))?;
                Config::from_custom_kubeconfig(file, &options)
                    .await
                    .context("the kubeconfig does not lead to a cluster")?
            }
            None if self.context.is_some() => {
                Config::from_kubeconfig(&options).await.context("the kubeconfig does not lead to a cluster")?
            }
            None => Config::infer()
                .await
                .context("no cluster to speak to; set KUBECONFIG, or give --kubeconfig or --context")?,
        };
        if let Some(user) = &self.act_as {
            config.auth_info.impersonate = Some(user.clone());
        }
        if let Some(namespace) = &self.namespace {
            config.default_namespace.clone_from(namespace);
        }
        Ok(config)
    }

    /// A client and the namespace commands work in.
    pub async fn client(&self) -> Result<(Client, String)> {
        let config = self.config().await?;
        let namespace = config.default_namespace.clone();
        Ok((Client::try_from(config).context("no client for this cluster")?, namespace))
    }
}

/// One of our kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    HelmRelease,
    GitSync,
}

impl Kind {
    /// The kind by any of the names kubectl takes for it.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "helmrelease" | "helmreleases" | "hr" => Some(Kind::HelmRelease),
            "gitsync" | "gitsyncs" | "gs" => Some(Kind::GitSync),
            _ => None,
        }
    }

    /// The lower-case word that stands before an object's name: `helmrelease/podinfo`.
    pub fn word(self) -> &'static str {
        match self {
            Kind::HelmRelease => "helmrelease",
            Kind::GitSync => "gitsync",
        }
    }

    fn resource(self) -> ApiResource {
        match self {
            Kind::HelmRelease => HelmRelease::api_resource(),
            Kind::GitSync => GitSync::api_resource(),
        }
    }

    /// The objects of this kind: in one namespace, or in all.
    pub fn api(self, client: &Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource()),
            None => Api::all_with(client.clone(), &self.resource()),
        }
    }
}

/// An object as a person names it: `podinfo`, `hr/podinfo`, `gitsync/fleet`. Without a kind it is a HelmRelease.
#[derive(Clone, Debug)]
pub struct Named {
    pub kind: Kind,
    pub name: String,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('/') {
            None => (Kind::HelmRelease, text),
            Some((kind, name)) => {
                let known = Kind::parse(kind)
                    .ok_or_else(|| format!("there is no kind {kind:?} here; take helmrelease/NAME or gitsync/NAME"))?;
                (known, name)
            }
        };
        if name.is_empty() {
            return Err("the name is missing".to_owned());
        }
        Ok(Named { kind, name: name.to_owned() })
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.name)
    }
}

/// Reads one object.
///
/// # Errors
/// It is not there, the CRDs are not installed, or the API server refuses.
pub async fn get(client: &Client, namespace: &str, named: &Named) -> Result<DynamicObject> {
    match named.kind.api(client, Some(namespace)).get_opt(&named.name).await {
        Ok(Some(object)) => Ok(object),
        Ok(None) => bail!("there is no {named} in namespace {namespace}\nhint: see pintle get --all-namespaces"),
        Err(error) => Err(explain(error)),
    }
}

/// Lists the objects of a kind, sorted by namespace and name.
///
/// # Errors
/// As [`get`].
pub async fn list(
    client: &Client,
    kind: Kind,
    namespace: Option<&str>,
    selector: Option<&str>,
) -> Result<Vec<DynamicObject>> {
    let mut parameters = ListParams::default();
    if let Some(selector) = selector {
        parameters = parameters.labels(selector);
    }
    let mut objects = kind.api(client, namespace).list(&parameters).await.map_err(explain)?.items;
    objects.sort_by_cached_key(|object| (object.meta().namespace.clone(), object.meta().name.clone()));
    Ok(objects)
}

/// The error with the way out where we know it.
pub fn explain(error: kube::Error) -> anyhow::Error {
    match &error {
        kube::Error::Api(status) if status.code == 404 => anyhow::anyhow!(
            "this cluster does not know the kinds of pintle.dev\nhint: install them with `pintle crd | kubectl apply --server-side -f -`"
        ),
        _ => anyhow::Error::new(error).context("the API server did not do it"),
    }
}
