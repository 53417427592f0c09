//! A provider: what it says of itself, and whom it vouches for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType,
    CoreGenderClaim, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AccessToken, AdditionalClaims, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret,
    CsrfToken, EmptyExtraTokenFields, EndUserName, EndpointMaybeSet, EndpointNotSet, EndpointSet, IdToken,
    IdTokenClaims, IdTokenFields, IssuerUrl, LocalizedClaim, Nonce, OAuth2TokenResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, StandardErrorResponse,
    StandardTokenResponse, SubjectIdentifier, TokenResponse, UserInfoClaims,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use url::Url;

use super::ask::{AskError, Asker};
use super::error::OidcError;
use super::rules::{Claimed, admitted, secret};
use super::{Begun, Person, Purpose};
use crate::providers::{Admission, ProviderError, ProviderSettings};
use crate::settings::Settings;

/// How old what a provider says of itself may be: keys are published for days before and after they sign.
const FRESH: Duration = Duration::from_secs(3600);

/// For how long a provider that did not answer is left alone.
const REST: Duration = Duration::from_secs(1);

/// What ID tokens may be signed with: keys of which the provider alone has the private part.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Claims beyond those that OpenID Connect itself names.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Others {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Others {}

type Fields = IdTokenFields<
    Others,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

type Client = openidconnect::Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

type Signed = IdToken<Others, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

type Claims = IdTokenClaims<Others, CoreGenderClaim>;

/// All providers of the settings.
#[derive(Clone, Debug)]
pub(crate) struct Providers(Arc<[Provider]>);

impl Providers {
    /// Asks none of them yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, ProviderError> {
        let http = Asker::new().map_err(ProviderError::Network)?;
        let all = settings.oidc.iter().map(|provider| Provider::new(provider, &settings.url(), http.clone()));
        Ok(Self(all.collect::<Result<_, _>>()?))
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Provider> {
        self.0.iter().find(|provider| provider.settings.name == name)
    }
}

/// Somebody who vouches for people.
#[derive(Debug)]
pub(crate) struct Provider {
    settings: ProviderSettings,
    issuer: IssuerUrl,
    id: ClientId,
    secret: Option<ClientSecret>,
    back: RedirectUrl,
    http: Asker,
    known: Mutex<Known>,
}

/// What it has said of itself.
#[derive(Debug, Default)]
struct Known {
    client: Option<(Arc<Client>, Instant)>,
    failed: Option<Instant>,
}

impl Provider {
    fn new(settings: &ProviderSettings, url: &str, http: Asker) -> Result<Self, ProviderError> {
        let name = &settings.name;
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|_| ProviderError::Issuer(name.clone()))?;
        let back = RedirectUrl::new(format!("{url}/login/{name}/callback")).map_err(|_| ProviderError::Back)?;
        let secret = secret(settings)?.map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let (id, known) = (ClientId::new(settings.client_id.clone()), Mutex::default());
        Ok(Self { settings: settings.clone(), issuer, id, secret, back, http, known })
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn label(&self) -> &str {
        self.settings.label()
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Whether an account here with the same verified address is taken for the same person's.
    pub(crate) fn links_addresses(&self) -> bool {
        self.settings.links_addresses
    }

    /// Where somebody is sent who signs in, and what is to be known when they come back.
    ///
    /// # Errors
    ///
    /// [`OidcError::Down`] when it does not say where that is.
    pub(crate) async fn begin(&self, purpose: Purpose) -> Result<(Url, Begun), OidcError> {
        let client = self.client(None).await?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let request =
            client.authorize_url(CoreAuthenticationFlow::AuthorizationCode, CsrfToken::new_random, Nonce::new_random);
        let scopes = self.settings.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new);
        let (url, state, nonce) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
        let (state, nonce, verifier) = (state.into_secret(), nonce.secret().clone(), verifier.into_secret());
        Ok((url, Begun { provider: self.name().to_owned(), state, nonce, verifier, purpose }))
    }

    /// Who has come back with this code.
    ///
    /// # Errors
    ///
    /// [`OidcError`] when the provider gives no ID token for it, or one that is not its own, not for this server, too old, or
    /// not of this sign-in.
    pub(crate) async fn finish(&self, code: String, begun: Begun) -> Result<Person, OidcError> {
        let client = self.client(None).await?;
        let request =
            client.exchange_code(AuthorizationCode::new(code)).map_err(|error| OidcError::Down(error.into()))?;
        let request = request.set_pkce_verifier(PkceCodeVerifier::new(begun.verifier));
        let tokens = request.request_async(&self.http).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(_) => OidcError::Code(error.into()),
            error => OidcError::Down(error.into()),
        })?;
        let token = tokens.id_token().ok_or(OidcError::NoToken)?;
        let claims = self.check(&client, token, &Nonce::new(begun.nonce)).await?;
        Ok(self.person(&client, claims, tokens.access_token()).await)
    }

    /// What the token claims, if it is what it should be. A key that is not known may be a new one.
    async fn check(&self, client: &Arc<Client>, token: &Signed, nonce: &Nonce) -> Result<Claims, OidcError> {
        use ClaimsVerificationError::SignatureVerification;
        match token.claims(&client.id_token_verifier().set_allowed_algs(SIGNATURES), nonce) {
            Ok(claims) => Ok(claims.clone()),
            Err(SignatureVerification(
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
            )) => {
                let client = self.client(Some(client)).await?;
                Ok(token.claims(&client.id_token_verifier().set_allowed_algs(SIGNATURES), nonce)?.clone())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Who that is. What the token does not tell is asked for, where the provider tells more.
    async fn person(&self, client: &Client, claims: Claims, access: &AccessToken) -> Person {
        let mut others = claims.additional_claims().all.clone();
        let mut name = claims.name().map(words).unwrap_or_default();
        let mut email = claims.email().map(|email| email.to_string());
        let mut is_verified = claims.email_verified().unwrap_or_default();
        let is_untold = |rule: &Admission| rule.claim.as_ref().is_some_and(|claim| !others.contains_key(claim));
        if (email.is_none() || self.settings.admit.iter().any(is_untold))
            && let Some(told) = self.more(client, claims.subject().clone(), access.clone()).await
        {
            if email.is_none() {
                email = told.email().map(|email| email.to_string());
                is_verified = told.email_verified().unwrap_or_default();
            }
            if name.is_empty() {
                name = told.name().map(words).unwrap_or_default();
            }
            for (claim, value) in &told.additional_claims().all {
                others.entry(claim.clone()).or_insert_with(|| value.clone());
            }
        }
        let is_verified = email.is_some() && (is_verified || self.settings.trusts_addresses);
        let claimed = Claimed { email: email.as_deref().filter(|_| is_verified), claims: &others };
        let admitted = admitted(&self.settings.admit, &claimed);
        let (issuer, subject) = (self.issuer().to_owned(), claims.subject().to_string());
        Person { issuer, subject, name, email, is_verified, admitted }
    }

    /// What it tells of somebody beside the token, which must be of the same subject.
    async fn more(
        &self,
        client: &Client,
        subject: SubjectIdentifier,
        access: AccessToken,
    ) -> Option<UserInfoClaims<Others, CoreGenderClaim>> {
        let request = client.user_info(access, Some(subject)).ok()?;
        let told = request.request_async(&self.http).await;
        told.inspect_err(|error| {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, provider = self.label(), "the provider does not tell more of somebody");
        })
        .ok()
    }

    /// What it says of itself, and something newer than what does not do any more. One at a time asks.
    async fn client(&self, outdated: Option<&Arc<Client>>) -> Result<Arc<Client>, OidcError> {
        let mut known = self.known.lock().await;
        let does = |client: &Arc<Client>| outdated.is_none_or(|outdated| !Arc::ptr_eq(client, outdated));
        if let Some((client, at)) = &known.client
            && at.elapsed() < FRESH
            && does(client)
        {
            return Ok(Arc::clone(client));
        }
        let asked = if known.failed.is_some_and(|at| at.elapsed() < REST) {
            Err(OidcError::StillDown)
        } else {
            self.discover().await.map_err(|error| OidcError::Down(error.into()))
        };
        match (asked, &known.client) {
            (Ok(client), _) => {
                let client = Arc::new(client);
                *known = Known { client: Some((Arc::clone(&client), Instant::now())), failed: None };
                Ok(client)
            }
            // What it said before does for a while.
            (Err(error), Some((client, _))) if does(client) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    provider = self.label(),
                    "it says nothing new"
                );
                let client = Arc::clone(client);
                known.rest(&error);
                Ok(client)
            }
            (Err(error), _) => {
                known.rest(&error);
                Err(error)
            }
        }
    }

    async fn discover(&self) -> Result<Client, openidconnect::DiscoveryError<AskError>> {
        let told = CoreProviderMetadata::discover_async(self.issuer.clone(), &self.http).await?;
        let methods = told.token_endpoint_auth_methods_supported();
        let takes_basic = methods.is_none_or(|methods| methods.contains(&CoreClientAuthMethod::ClientSecretBasic));
        let client = Client::from_provider_metadata(told, self.id.clone(), self.secret.clone());
        let auth = if takes_basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        Ok(client.set_redirect_uri(self.back.clone()).set_auth_type(auth))
    }
}

impl Known {
    /// Notes when it was asked in vain.
    fn rest(&mut self, error: &OidcError) {
        if !matches!(error, OidcError::StillDown) {
            self.failed = Some(Instant::now());
        }
    }
}

/// A name, in whichever language it is told in.
fn words(name: &LocalizedClaim<EndUserName>) -> String {
    name.iter().next().map(|(_, name)| name.to_string()).unwrap_or_default()
}
