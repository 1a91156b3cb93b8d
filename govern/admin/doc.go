// Package admin reads and changes the documents by which a centre decides who may do what.
// It does so through a client, which needs the right to administer what a document is
// about.
//
// [Update] changes one document so that nobody else's change is lost:
//
//	_, err := admin.Update(ctx, client, &govern.Team{Name: "pay.developers"}, admin.Options{Comment: "ann is new here"},
//		func(team *govern.Team, exists bool) error {
//			team.Members = append(team.Members, "user:ann")
//			return nil
//		})
package admin
