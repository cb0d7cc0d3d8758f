-- needs: states
-- The end of every script that changes something.

local function save()
  save_states()
  save_lanes()
  save_records()
  save_counts()
  save_ended()
  save_feed()
  save_ledger()
end
