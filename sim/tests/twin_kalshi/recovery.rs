//! A client that recovers as the venue's rules say holds the truth after every fault.
