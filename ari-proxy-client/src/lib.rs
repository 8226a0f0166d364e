//! ari-proxy-client
