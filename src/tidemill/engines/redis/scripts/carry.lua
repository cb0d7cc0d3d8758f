-- needs: produce children fires save
-- carry: hear what another queue sent. It was accepted there, so a full server hears it too.
-- ARGV[3] msgpack: {'wait', child, parent}: answers 1 if the child is live, and knows its parent then;
-- or {'arrived', parent, child}; or {'enqueue', made task}, with ARGV[4…] its facts and payload;
-- or {'forget', schedule}.
-- Parents and children elsewhere are written `queue TAB id`.

go_on_when_full()
local kind, one, other = unpack(cmsgpack.unpack(ARGV[3]))
local answer = 1
if kind == 'wait' then
  answer = wait_for(one, other) and 1 or 0
elseif kind == 'enqueue' then
  enqueue(one)
elseif kind == 'forget' then
  forget_mark(one)
else
  arrived_at(one, other)
end
save()
return {answer, SENT}
