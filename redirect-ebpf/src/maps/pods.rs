//! Maps namespaces to endpoints.

use std::collections::BTreeSet;

use super::{Maps, gone};
use crate::error::RedirectError;

impl Maps {
    /// Lets egress of a namespace begin. The last thing of an attachment.
    pub(crate) fn enter_pod(&mut self, cookie: u64, endpoint: u32) -> Result<(), RedirectError> {
        self.pods.insert(cookie, endpoint, 0).map_err(RedirectError::map("PODS", "write"))
    }

    /// Ends egress of an endpoint; gives the cookies it had.
    pub(crate) fn leave_pod(&mut self, endpoint: u32) -> Result<Vec<u64>, RedirectError> {
        let cookies =
            self.matching(&self.pods, |_, value| value == endpoint).map_err(RedirectError::map("PODS", "read"))?;
        cookies
            .iter()
            .try_for_each(|cookie| gone(self.pods.remove(cookie)))
            .map_err(RedirectError::map("PODS", "write"))?;
        Ok(cookies)
    }

    /// Ends egress of namespaces that were one of these endpoints and are none of these: an earlier process may have had
    /// other namespaces under the same numbers.
    pub(crate) fn keep_pods(
        &mut self,
        endpoints: &BTreeSet<u32>,
        cookies: &BTreeSet<u64>,
    ) -> Result<(), RedirectError> {
        let is_stale = |cookie: &u64, endpoint| endpoints.contains(&endpoint) && !cookies.contains(cookie);
        let stale = self.matching(&self.pods, is_stale).map_err(RedirectError::map("PODS", "read"))?;
        stale.iter().try_for_each(|cookie| gone(self.pods.remove(cookie))).map_err(RedirectError::map("PODS", "write"))
    }
}
