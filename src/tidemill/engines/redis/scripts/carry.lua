-- needs: children save
-- carry: hear what another queue sent.
-- ARGV[3] msgpack: {'wait', child, parent}: answers 1 if the child is live, and knows its parent then;
-- or {'arrived', parent, child}. Parents and children elsewhere are written `queue TAB id`.

local kind, one, other = unpack(cmsgpack.unpack(ARGV[3]))
local answer = 1
if kind == 'wait' then
  answer = wait_for(one, other) and 1 or 0
else
  arrived_at(one, other)
end
save()
return {answer, SENT}
