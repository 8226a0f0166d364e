//! ari-native
