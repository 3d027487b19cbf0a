//! Between an exporter and the network: batch, queue, retry, send.
