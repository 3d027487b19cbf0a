//! What all exporters that send over the network configure alike, with the Collector's keys.

use std::sync::Arc;

use super::{
    contract::ExporterContext,
    sending::{Encoder, SendingExporter},
};
use crate::{
    client::{ClientAuthConfig, ConfigError, Tls, auth::Authenticator},
    delivery::{
        ClientSettings, DeliverySettings, Destination, RetryOnFailure, SendOrder, SendingQueue,
        Split,
    },
    pipeline::Exporter,
    runtime::Clock,
    settings::{Compression, Duration, ExtensionUse, Headers, ProxyUrl},
    yaml::{Cursor, Diagnostics},
};

/// The keys that these exporters share.
#[derive(Clone, Copy)]
pub(super) struct SenderConfig<'c> {
    pub(super) timeout: Duration,
    pub(super) compression: Compression,
    pub(super) headers: &'c Headers,
    pub(super) auth: &'c ClientAuthConfig,
    pub(super) tls: &'c Tls,
    pub(super) proxy_url: Option<&'c ProxyUrl>,
    pub(super) retry: &'c RetryOnFailure,
    pub(super) queue: &'c SendingQueue,
}

/// The shared keys of a configuration, which has a field for each of them.
macro_rules! sender_config {
    ($config:ident, compression: $compression:expr) => {
        $crate::exporters::sender_config::SenderConfig {
            timeout: $config.timeout,
            compression: $compression,
            headers: &$config.headers,
            auth: &$config.auth,
            tls: &$config.tls,
            proxy_url: $config.proxy_url.as_ref(),
            retry: &$config.retry_on_failure,
            queue: &$config.sending_queue,
        }
    };
}
pub(super) use sender_config;

/// The settings of an exporter that sends over the network.
pub(super) trait NetworkExporter {
    /// Where its batches go.
    type Destination: Destination;

    /// The keys that it shares with other exporters.
    fn sender(&self) -> SenderConfig<'_>;

    /// The destination, to which it connects when there is something to send.
    ///
    /// # Errors
    /// If a value of the configuration cannot be used. The error names its key.
    fn destination(&self, client: &ClientSettings<'_>) -> Result<Self::Destination, ConfigError>;

    /// Starts the exporter. `order` is the order of its deliveries, if it matters.
    ///
    /// # Errors
    /// If a value of the configuration cannot be used. The error names its key.
    fn start(
        &self,
        context: &ExporterContext<'_>,
        encoder: impl Encoder,
        split: Split,
        order: Option<Arc<SendOrder>>,
    ) -> Result<Arc<dyn Exporter>, ConfigError> {
        let sender = self.sender();
        let settings = DeliverySettings {
            timeout: sender.timeout.get(),
            retry: sender.retry.clone(),
            queue: sender.queue.clone(),
            split: Some(split),
            order,
        };
        let auth = sender.auth.build(context.authenticators)?;
        let destination = self.destination(&sender.client(auth.as_deref(), context.clock))?;
        SendingExporter::start(context, settings, encoder, destination)
    }

    /// Checks the shared keys and the destination.
    fn check_sender(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        let sender = self.sender();
        // Nothing is sent, so no time is read.
        let client = sender.client(None, &Clock::System);
        let destination = self.destination(&client).err().into_iter();
        let others = sender.retry.check().into_iter();
        for mistake in destination.chain(others).chain(sender.queue.check()) {
            mistake.report(at, diagnostics);
        }
        sender.auth.check(at, diagnostics);
    }
}

impl<'c> SenderConfig<'c> {
    fn client<'a>(
        &self,
        auth: Option<&'a dyn Authenticator>,
        clock: &'a Clock,
    ) -> ClientSettings<'a>
    where
        'c: 'a,
    {
        ClientSettings {
            compression: self.compression,
            headers: self.headers,
            auth,
            tls: self.tls,
            proxy_url: self.proxy_url,
            clock,
        }
    }

    /// The extensions that the shared keys name.
    pub(super) fn uses(&self) -> Vec<ExtensionUse<'c>> {
        let auth = self.auth.uses().into_iter();
        self.queue.uses().into_iter().chain(auth).collect()
    }

    /// Warns about shared keys that are valid but probably not intended.
    pub(super) fn warn(&self, at: &Cursor<'_>, diagnostics: &mut Diagnostics) {
        self.queue.warn(self.retry, at, diagnostics);
    }
}
