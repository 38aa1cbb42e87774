//! What clients ask of accounts and tokens.

use super::{super::plan::Plan, Clients};
use crate::dice::Dice;
use octostore::auth::BearerToken;
use octostore_actors::domain::{
    account::{
        AccountCommand, Change, NewToken, Origin, Standing, Subject, TokenName, TokenSource,
        scope::Scope,
    },
    audit::Action,
    values::{AccountId, AccountName, TokenId, WallTime},
};

impl Clients {
    pub(super) fn account(
        &mut self,
        plan: &Plan,
        dice: &mut Dice,
        at: WallTime,
    ) -> Option<AccountCommand> {
        let by = self.by(at);
        let quota = plan.setup.quotas.tokens;
        let known = dice.below(self.wallet.len());
        let (presented, token, account) = {
            let bearer = &self.wallet[known];
            (bearer.hash, bearer.id, bearer.account)
        };
        Some(match dice.below(12) {
            0..=2 => AccountCommand::Admit {
                origin: Origin::OpenId,
                subject: Subject::new(&format!("https://issuer {}", dice.below(3))).ok()?,
                name: AccountName::new(&format!("person {}", dice.below(2))).ok()?,
                account: AccountId::from_bytes(self.id(0xac)),
                token: self.token(dice, at)?,
                quota,
                action: Action::TokenExchange,
                by,
            },
            3 | 4 => AccountCommand::Issue { presented, token: self.token(dice, at)?, quota, by },
            5 | 6 => {
                let NewToken { hash: fresh, id, .. } = self.token(dice, at)?;
                AccountCommand::Rotate { presented, fresh, id, by }
            }
            7 | 8 => AccountCommand::Revoke { account, scope: Scope::Everything, token, by },
            9 => AccountCommand::Used { token: presented, at },
            10 => AccountCommand::Tokens { account, scope: Scope::Everything, at },
            _ => {
                let standing = if dice.one_in(2) { Standing::Disabled } else { Standing::Enabled };
                AccountCommand::Change { account, change: Change::Standing(standing), by }
            }
        })
    }

    fn token(&mut self, dice: &mut Dice, at: WallTime) -> Option<NewToken> {
        let id = TokenId::from_bytes(self.id(0x70));
        let secret = format!("secret {}", self.fresh);
        let hash = BearerToken::hash_of(secret.as_bytes());
        self.unborn.insert(hash, secret);
        Some(NewToken {
            hash,
            id,
            name: TokenName::new("of a client").ok()?,
            source: *dice.pick(&[TokenSource::Issued, TokenSource::Workload]),
            scope: None,
            expires_at: dice.one_in(3).then(|| at.plus_seconds(dice.within(1..=60))),
        })
    }
}
