"""From one warehouse to another: what the sync and the loads remember, without sending everybody again."""
