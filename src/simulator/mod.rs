//! An embedded Betanet fleet with scripted faults: the demo, the tests and the benches poll it.
