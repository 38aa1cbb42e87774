//! Routes as metrics and traces call them: the template of a path, never the path itself.

use super::{
    openapi::Form,
    pages::Page,
    router::{AccountAction, Admin, LockAction, Probe, ProviderPath, Resource},
};

macro_rules! routes {
    ($($route:ident $template:literal)*) => {
        /// A row of the router's table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route {
            $(#[doc = $template] $route),*
        }

        impl Route {
            /// What each is called, in their order.
            pub const TEMPLATES: &'static [&'static str] = &[$($template),*];
        }
    };
}

routes! {
    Health "/health"
    Live "/livez"
    Ready "/readyz"
    Metrics "/metrics"
    OpenApiYaml "/openapi.yaml"
    OpenApiJson "/openapi.json"
    Root "/"
    Docs "/docs"
    Dashboard "/dashboard"
    Session "/dashboard/session"
    DashboardGitHub "/dashboard/sign-in/github"
    DashboardOpenId "/dashboard/sign-in/oidc/{provider}"
    Asset "/assets/{file}"
    Locks "/locks"
    Lock "/locks/{name}"
    LockAcquire "/locks/{name}/acquire"
    LockRelease "/locks/{name}/release"
    LockRenew "/locks/{name}/renew"
    Limits "/limits"
    Limit "/limits/{name}"
    LimitCheck "/limits/{name}/check"
    Flags "/flags"
    Flag "/flags/{name}"
    ConfigKeys "/config"
    Config "/config/{key}"
    ConfigHistory "/config/{key}/history"
    ConfigRollback "/config/{key}/rollback"
    Me "/auth/me"
    Tokens "/auth/tokens"
    Token "/auth/tokens/{id}"
    TokenEndpoint "/auth/token"
    RotateToken "/auth/token/rotate"
    Device "/auth/device"
    DeviceCode "/auth/device/code"
    DeviceConfirm "/auth/device/confirm"
    GitHub "/auth/github"
    GitHubCallback "/auth/github/callback"
    OpenId "/auth/oidc/{provider}"
    OpenIdCallback "/auth/oidc/{provider}/callback"
    AdminAccounts "/admin/accounts"
    AdminAccount "/admin/accounts/{id}"
    AdminDisable "/admin/accounts/{id}/disable"
    AdminEnable "/admin/accounts/{id}/enable"
    AdminPromote "/admin/accounts/{id}/promote"
    AdminDemote "/admin/accounts/{id}/demote"
    AdminQuotas "/admin/accounts/{id}/quotas"
    AdminLockRelease "/admin/locks/{name}/release"
    AdminAudit "/admin/audit"
    AdminAuditExport "/admin/audit/export"
    AdminBackup "/admin/backup"
    Unknown "unknown"
    Malformed "malformed"
}

impl Route {
    /// The route of what a path names; every path that names nothing has the same.
    pub fn of(resource: Option<&Resource<'_>>) -> Self {
        let Some(resource) = resource else { return Self::Unknown };
        match resource {
            Resource::Probe(Probe::Health) => Self::Health,
            Resource::Probe(Probe::Live) => Self::Live,
            Resource::Probe(Probe::Ready) => Self::Ready,
            Resource::Metrics => Self::Metrics,
            Resource::OpenApi(Form::Yaml) => Self::OpenApiYaml,
            Resource::OpenApi(Form::Json) => Self::OpenApiJson,
            Resource::Root => Self::Root,
            Resource::Page(Page::Docs) => Self::Docs,
            Resource::Page(Page::Dashboard) => Self::Dashboard,
            Resource::Session => Self::Session,
            Resource::DashboardSignIn(ProviderPath::GitHub) => Self::DashboardGitHub,
            Resource::DashboardSignIn(ProviderPath::OpenId(_)) => Self::DashboardOpenId,
            Resource::Asset(_) => Self::Asset,
            Resource::Locks => Self::Locks,
            Resource::Lock(_) => Self::Lock,
            Resource::LockAction(_, LockAction::Acquire) => Self::LockAcquire,
            Resource::LockAction(_, LockAction::Release) => Self::LockRelease,
            Resource::LockAction(_, LockAction::Renew) => Self::LockRenew,
            Resource::Limits => Self::Limits,
            Resource::Limit(_) => Self::Limit,
            Resource::LimitCheck(_) => Self::LimitCheck,
            Resource::Flags => Self::Flags,
            Resource::Flag(_) => Self::Flag,
            Resource::ConfigKeys => Self::ConfigKeys,
            Resource::Config(_) => Self::Config,
            Resource::ConfigHistory(_) => Self::ConfigHistory,
            Resource::ConfigRollback(_) => Self::ConfigRollback,
            Resource::Me => Self::Me,
            Resource::Tokens => Self::Tokens,
            Resource::Token(_) => Self::Token,
            Resource::TokenEndpoint => Self::TokenEndpoint,
            Resource::RotateToken => Self::RotateToken,
            Resource::Device => Self::Device,
            Resource::DeviceCode => Self::DeviceCode,
            Resource::DeviceConfirm => Self::DeviceConfirm,
            Resource::SignIn(ProviderPath::GitHub) => Self::GitHub,
            Resource::SignIn(ProviderPath::OpenId(_)) => Self::OpenId,
            Resource::SignInCallback(ProviderPath::GitHub) => Self::GitHubCallback,
            Resource::SignInCallback(ProviderPath::OpenId(_)) => Self::OpenIdCallback,
            Resource::Admin(admin) => Self::of_admin(*admin),
        }
    }

    fn of_admin(admin: Admin<'_>) -> Self {
        match admin {
            Admin::Accounts => Self::AdminAccounts,
            Admin::Account(_) => Self::AdminAccount,
            Admin::AccountAction(_, AccountAction::Disable) => Self::AdminDisable,
            Admin::AccountAction(_, AccountAction::Enable) => Self::AdminEnable,
            Admin::AccountAction(_, AccountAction::Promote) => Self::AdminPromote,
            Admin::AccountAction(_, AccountAction::Demote) => Self::AdminDemote,
            Admin::Quotas(_) => Self::AdminQuotas,
            Admin::LockRelease(_) => Self::AdminLockRelease,
            Admin::Audit => Self::AdminAudit,
            Admin::AuditExport => Self::AdminAuditExport,
            Admin::Backup => Self::AdminBackup,
        }
    }

    /// What it is called.
    pub const fn template(self) -> &'static str {
        Self::TEMPLATES[self as usize]
    }

    /// Its place in [`Route::TEMPLATES`].
    pub const fn place(self) -> usize {
        self as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_the_route_of_its_own_template() {
        for (place, template) in Route::TEMPLATES.iter().enumerate() {
            let mut path = String::new();
            for segment in template.split_inclusive('/') {
                path += if segment.starts_with('{') { "x" } else { segment };
                if segment.starts_with('{') && segment.ends_with('/') {
                    path.push('/');
                }
            }
            let route = Route::of(Resource::of(&path).as_ref());
            let expected = if template.starts_with('/') { place } else { Route::Unknown.place() };
            assert_eq!(route.place(), expected, "{path}");
        }
    }
}
