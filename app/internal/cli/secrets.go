package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/moorage/moorage/daemon/api"
	"github.com/moorage/moorage/daemon/client"
)

func (a *app) secretsCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "secrets",
		Short: "Say where passwords are kept and for which drives; unlock them",
		Long: `Passwords and tokens of drives are in the keyring of this computer. Where there is
none, they can be in a file that is encrypted with a passphrase; see "create". This
says which of the two is used, and what there is a password for. It never shows one.

Drives whose password cannot be read yet wait, and come up after "unlock".`,
		Example: `  moorage secrets
  moorage secrets unlock          after a login without the keyring's password
  moorage secrets create          an encrypted file, where there is no keyring
  moorage secrets forget notes    the password of a drive`,
		Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			s, err := c.Secrets(ctx)
			if err != nil {
				return err
			}
			s.Kept = notNull(s.Kept)
			if asJSON {
				return a.writeJSON(s)
			}
			a.showSecrets(s)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	c.AddCommand(a.unlockCommand(), a.createCommand(), a.passphraseCommand(), a.forgetCommand())
	return c
}

func (a *app) showSecrets(s api.Secrets) {
	a.say("Keyring: %s", s.Keyring)
	if s.File != api.SecretFileAbsent {
		a.say("Encrypted file: %s", s.File)
	}
	if len(s.Kept) > 0 {
		a.say("")
		t := table{head: []string{"DRIVE", "ID", "KEPT IN"}}
		for _, k := range s.Kept {
			where := "keyring"
			if k.File {
				where = "encrypted file"
			}
			drive := k.Drive
			if drive == "" {
				drive = "(gone)"
			}
			t.add(drive, k.ID, where)
		}
		t.write(a)
	}
	if p := s.Problem; p != nil && s.File != api.SecretFileOpen {
		a.say("")
		a.say("%s", clean(p.What))
		if p.Do != "" {
			a.say("  %s", clean(p.Do))
		}
	}
}

func (a *app) unlockCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unlock",
		Short: "Unlock the encrypted file or the keyring; drives that wait come up",
		Long: `Asks for the passphrase of the encrypted file, if that is locked; without a terminal
it is read from standard input. Otherwise it has the desktop ask for the keyring's
password. The file stays open until the service ends.`,
		Example: `  moorage secrets unlock`,
		Args:    exactly(0, "moorage secrets unlock"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), mountTimeout) // a person answers
			defer cancel()
			s, err := c.Secrets(ctx)
			if err != nil {
				return err
			}
			switch {
			case s.File == api.SecretFileLocked:
				err = a.unlockFile(ctx, c)
			case s.Keyring == api.KeyringLocked:
				a.note("The desktop asks for the keyring's password.")
				err = c.UnlockKeyring(ctx)
			case s.Problem != nil && s.File != api.SecretFileOpen:
				err = &api.Error{Exit: api.ExitMissing, Problem: *s.Problem}
			default:
				err = nothing("Nothing is locked.", "")
			}
			if err != nil {
				return err
			}
			a.say("Unlocked. Drives that waited for it are on their way: moorage status")
			return nil
		},
	}
}

// unlockFile asks for the passphrase, a person at a terminal up to three times.
func (a *app) unlockFile(ctx context.Context, c *client.Client) error {
	for try := 1; ; try++ {
		word, err := a.readWord(ctx, "Passphrase of the encrypted file")
		if err != nil {
			return err
		}
		if word == "" {
			return usage("No passphrase was given.")
		}
		err = c.UnlockSecretFile(ctx, word)
		if !isCode(err, api.CodePassphrase) || a.ReadPassword == nil || try == 3 {
			return err
		}
		_, what, _ := describe(err)
		a.note("%s", clean(what))
	}
}

// newPassphrase asks for one, a person at a terminal twice.
func (a *app) newPassphrase(ctx context.Context) (string, error) {
	word, err := a.readWord(ctx, "New passphrase")
	if err != nil {
		return "", err
	}
	if word == "" {
		return "", usage("No passphrase was given.")
	}
	if a.ReadPassword == nil {
		return word, nil
	}
	again, err := a.readWord(ctx, "The same again")
	if err != nil {
		return "", err
	}
	if again != word {
		return "", &failure{status: api.ExitFailed, what: "The two are not the same; nothing was changed."}
	}
	return word, nil
}

func (a *app) createCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "create",
		Short: "Make an encrypted file for passwords, where there is no keyring",
		Long: `Makes a file that keeps the passwords of drives under a passphrase, for sessions
without a keyring. The passphrase is asked for (without a terminal it is the first
line of standard input), and nobody can read the file without it. After each start of
the service it is given by "moorage secrets unlock"; drives wait for that.

While a keyring works, new passwords go to the keyring.`,
		Example: `  moorage secrets create`,
		Args:    exactly(0, "moorage secrets create"),
		RunE: func(cmd *cobra.Command, args []string) error {
			word, err := a.newPassphrase(cmd.Context())
			if err != nil {
				return err
			}
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			if err := c.CreateSecretFile(ctx, word); err != nil {
				return err
			}
			a.say("Made. Passwords go there where there is no keyring. After a login: moorage secrets unlock")
			return nil
		},
	}
}

func (a *app) passphraseCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "passphrase",
		Short: "Give the encrypted file another passphrase",
		Long: `Asks for the passphrase of the encrypted file and for a new one; without a terminal
they are the first two lines of standard input.`,
		Example: `  moorage secrets passphrase`,
		Args:    exactly(0, "moorage secrets passphrase"),
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := a.readWord(cmd.Context(), "Passphrase of the encrypted file")
			if err != nil {
				return err
			}
			word, err := a.newPassphrase(cmd.Context())
			if err != nil {
				return err
			}
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			if err := c.ChangePassphrase(ctx, old, word); err != nil {
				return err
			}
			a.say("Changed. Copies of the file that you made before still open with the old one.")
			return nil
		},
	}
}

func (a *app) forgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forget NAME|ID",
		Short: "Take the password of a drive away",
		Long: `Takes the password of a drive out of the keyring or the encrypted file. The drive
stays, and goes on as long as it is mounted. ID is for what a drive left that is gone.`,
		Example:           `  moorage secrets forget notes`,
		Args:              exactly(1, "moorage secrets forget notes"),
		ValidArgsFunction: a.completeDrives(anyDrive),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ctx, cancel, err := a.ask(cmd.Context())
			if err != nil {
				return err
			}
			defer cancel()
			s, err := c.Secrets(ctx)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(s.Kept, func(k api.KeptSecret) bool { return k.Drive != "" && k.Drive == args[0] || k.ID == args[0] })
			if i < 0 {
				return nothing(fmt.Sprintf("No password is kept for %q.", args[0]), "moorage secrets shows what there is.")
			}
			if err := c.ForgetSecret(ctx, s.Kept[i].ID); err != nil {
				return err
			}
			a.say("Forgotten.")
			return nil
		},
	}
}
