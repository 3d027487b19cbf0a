//! Listeners shared by endpoint, with limits on time, size and number.
