//! Mail, handed to a server that speaks SMTP.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use lettre::address::AddressError;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use url::{Host, Url};

use crate::settings::Settings;

/// How long the mail server may take for each step.
const PATIENCE: Duration = Duration::from_secs(20);

/// Says to whoever answers mail by itself that no person wrote this one (RFC 3834).
const BY_ITSELF: (&str, &str) = ("Auto-Submitted", "auto-generated");

/// A mail server, and whom mail is from.
#[derive(Clone)]
pub(crate) struct Mail {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Without the transport, which has a password.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("from", &self.from).finish_non_exhaustive()
    }
}

/// Mail cannot be sent with these settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The address of the mail server is none.
    #[error("`smtp_url` is no address of a mail server: smtps://HOST, smtp://HOST?tls=required or smtp://HOST")]
    Url(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A password would go over the network in the clear.
    #[error("a password goes to a mail server elsewhere encrypted alone: smtps://… or smtp://…?tls=required")]
    Clear,
    /// Nobody is said to send it.
    #[error("`mail_from` is missing: whom mail is from, as `BuildIt <ci@example.com>`")]
    NoSender,
    /// Who is said to send it is nobody.
    #[error("`mail_from` is no address: `BuildIt <ci@example.com>` is one")]
    Sender(#[source] AddressError),
}

/// A mail was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SendError {
    #[error("`{0}` is no address")]
    Address(String, #[source] AddressError),
    #[error("the mail cannot be written")]
    Message(#[from] lettre::error::Error),
    #[error("the mail server did not take it")]
    Server(#[from] smtp::Error),
}

impl SendError {
    /// Whether it would not be sent later either.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Address(..) | Self::Message(_) => true,
            Self::Server(error) => error.is_permanent(),
        }
    }
}

/// Whether mail can be sent to this address.
pub(crate) fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

impl Mail {
    /// What the settings say; none where they name no mail server. It is not asked yet.
    pub(crate) fn of(settings: &Settings) -> Result<Option<Self>, MailError> {
        let Some(url) = &settings.smtp_url else { return Ok(None) };
        let parsed = Url::parse(url.expose()).map_err(|error| MailError::Url(error.into()))?;
        let is_encrypted = parsed.scheme() == "smtps"
            || parsed.query_pairs().any(|(name, value)| (&*name, &*value) == ("tls", "required"));
        if parsed.password().is_some() && !is_encrypted && !is_here(&parsed) {
            return Err(MailError::Clear);
        }
        let from = settings.mail_from.as_deref().ok_or(MailError::NoSender)?;
        let from = from.parse().map_err(MailError::Sender)?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose());
        let transport = transport.map_err(|error| MailError::Url(error.into()))?;
        Ok(Some(Self { transport: transport.timeout(Some(PATIENCE)).build(), from }))
    }

    /// Hands a mail of plain text to the server; it has it when this returns.
    pub(crate) async fn send(&self, to: &[&str], subject: &str, text: &str) -> Result<(), SendError> {
        let mut builder = Message::builder().from(self.from.clone());
        for to in to {
            let address: Address = to.parse().map_err(|error| SendError::Address((*to).to_owned(), error))?;
            builder = builder.to(Mailbox::new(None, address));
        }
        let mut message =
            builder.subject(subject).message_id(None).header(ContentType::TEXT_PLAIN).body(text.to_owned())?;
        let by_itself = HeaderValue::new(HeaderName::new_from_ascii_str(BY_ITSELF.0), BY_ITSELF.1.to_owned());
        message.headers_mut().insert_raw(by_itself);
        self.transport.send(message).await?;
        Ok(())
    }
}

/// Whether the mail server is on this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        // The host of a scheme that `url` does not know is not looked at any further.
        Some(Host::Domain(name)) => {
            name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(url: &str, from: Option<&str>) -> Result<Option<Mail>, MailError> {
        Mail::of(&Settings {
            smtp_url: Some(url.to_owned().into()),
            mail_from: from.map(str::to_owned),
            ..Settings::default()
        })
    }

    const FROM: Option<&str> = Some("BuildIt <ci@example.com>");

    #[test]
    fn a_server_without_mail_has_none() {
        assert!(Mail::of(&Settings::default()).unwrap().is_none());
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        assert!(matches!(mail("smtp://localhost", None), Err(MailError::NoSender)));
        assert!(matches!(mail("smtp://localhost", Some("nobody")), Err(MailError::Sender(_))));
        for url in ["nowhere", "http://localhost", "smtp://localhost?tls=perhaps", "smtp:localhost"] {
            assert!(matches!(mail(url, FROM), Err(MailError::Url(_))), "{url}");
        }
    }

    #[tokio::test]
    async fn a_password_goes_elsewhere_encrypted_alone() {
        for url in ["smtp://ci:secret@mail.example.com", "smtp://ci:secret@mail.example.com?tls=opportunistic"] {
            assert!(matches!(mail(url, FROM), Err(MailError::Clear)), "{url}");
        }
        for url in [
            "smtps://ci:secret@mail.example.com",
            "smtp://ci:secret@mail.example.com?tls=required",
            "smtp://mail.example.com",
            "smtp://ci:secret@127.0.0.1:2525",
            "smtp://ci:secret@[::1]:2525",
            "smtp://ci:secret@localhost",
        ] {
            let mail = mail(url, FROM).unwrap().unwrap();
            assert!(!format!("{mail:?}").contains("secret"), "{url}");
        }
    }
}
