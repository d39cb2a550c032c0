//! Gates on offer, held and judged.

use super::{Board, Lease, Offer, OpenGate};
use crate::spec::GateSpec;

impl Board {
    /// Asks somebody to judge a gate.
    pub(crate) fn open_gate(&mut self, i: u32, gate: OpenGate) {
        self.to_check.remove(&i);
        self.approvals += u32::from(gate.manual);
        self.gates.insert(i, gate);
        self.offer_gate(i);
    }

    /// A person is asked through their inbox; everybody else through the list of offered work.
    pub(crate) fn offer_gate(&mut self, i: u32) {
        if self.gates.get(&i).is_some_and(|g| !g.manual) {
            self.put_offer(self.gate_key(i), Offer::Gate(i));
        }
    }

    fn gate_key(&self, i: u32) -> &'static str {
        let open = self.gates.get(&i).map_or(0, |g| g.gate);
        self.steps[i as usize].gates.get(usize::from(open)).map_or("gate", GateSpec::capability)
    }

    /// Grants a gate.
    pub(crate) fn grant_gate(&mut self, i: u32, lease: Lease) {
        self.drop_offer(self.gate_key(i), Offer::Gate(i));
        if let Some(open) = self.gates.get_mut(&i) {
            self.leases += 1;
            self.started += u32::from(lease.started);
            open.attempt = lease.attempt;
            open.lease = Some(Box::new(lease));
        }
    }

    /// The lease of a gate is over.
    pub(crate) fn release_gate(&mut self, i: u32) {
        if let Some(lease) = self.gates.get_mut(&i).and_then(|g| g.lease.take()) {
            self.leases = self.leases.saturating_sub(1);
            self.started = self.started.saturating_sub(u32::from(lease.started));
        }
    }

    /// A gate was judged, or its step is gone.
    pub(crate) fn close_gate(&mut self, i: u32) {
        self.release_gate(i);
        self.drop_offer(self.gate_key(i), Offer::Gate(i));
        if let Some(gate) = self.gates.remove(&i) {
            self.approvals = self.approvals.saturating_sub(u32::from(gate.manual));
        }
    }
}
