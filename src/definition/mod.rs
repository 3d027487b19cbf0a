//! What an API looks like: endpoints, and which JSON becomes which instrument.
