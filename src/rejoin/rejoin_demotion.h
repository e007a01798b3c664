/*
 * Whether a primary that runs may be stopped and become a standby: what the rewind will discard,
 * whether it goes the wrong way, and who uses the primary now.
 */
#ifndef REJOIN_REJOIN_DEMOTION_H
#define REJOIN_REJOIN_DEMOTION_H

#include "rejoin/rejoin_following.h"
#include "rewind/look.h"

/*
 * After a look at the pair, before the server is stopped. Prints what the rewind would discard, as
 * far as that is known by now. Fails if that is more than --max-lost-transactions; and unless
 * --demote names the target's timeline, if the target is a primary that was promoted after the
 * source, or that clients or standbys use. A primary whose users cannot be found out counts as
 * used. A standby is only warned of, by the rewind.
 */
MUST_CHECK bool rejoin_check_demotion(Rejoin *rejoin, const Look *look, Error *error);

#endif
